"""A connection under test, with everything around it, and the client at its other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fenchel.documents import decode_timestamp
from fenchel.runtime import BackgroundTasks, Runtime, Settings
from fenchel.runtime.settings import SyncSettings
from fenchel.sync import ClientInfo, Ending, SharedQueries, SyncWorker
from tests.sync.fakes import FakeAuthenticator, FakeBackend, FakeSocket, JsonObject

SESSION = "3c96bca9-a4e4-4da8-8d91-0f82b34e8701"
CONNECT: JsonObject = {"type": "Connect", "sessionId": SESSION, "connectionCount": 0}


class QuickClock:
    """Waits without waiting; the wall time is set by the test."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000
        self.slept: list[float] = []

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / 1e9

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class Client:
    """One connection; several may have the same backend and share their queries."""

    def __init__(
        self, sync: SyncSettings, *, takes_chunks: bool, shares_with: Client | None
    ) -> None:
        self.socket = FakeSocket()
        self.backend: FakeBackend = FakeBackend() if shares_with is None else shares_with.backend
        self.authenticator = FakeAuthenticator()
        self.clock = QuickClock()
        self.actions = BackgroundTasks()
        self.version = 0
        self.identity = 0
        runtime = Runtime(clock=self.clock, settings=Settings(sync=sync))
        self.queries: SharedQueries = (
            SharedQueries(backend=self.backend, runtime=runtime)
            if shares_with is None
            else shares_with.queries
        )
        self.worker = SyncWorker(
            socket=self.socket,
            backend=self.backend,
            queries=self.queries,
            authenticator=self.authenticator,
            client=ClientInfo(takes_chunks=takes_chunks, client_ip="127.0.0.1"),
            actions=self.actions,
            runtime=runtime,
        )
        self.running: asyncio.Task[Ending | None] | None = None

    def subscribe(self, *query_ids: int) -> None:
        self.modify(
            *(
                {"type": "Add", "queryId": query_id, "udfPath": "counter:get", "args": [{}]}
                for query_id in query_ids
            )
        )

    def modify(self, *modifications: JsonObject) -> None:
        self.socket.say(
            {
                "type": "ModifyQuerySet",
                "baseVersion": self.version,
                "newVersion": self.version + 1,
                "modifications": modifications,
            }
        )
        self.version += 1

    def mutate(self, request_id: int, path: str = "counter:add") -> None:
        self.socket.say(
            {"type": "Mutation", "requestId": request_id, "udfPath": path, "args": [{}]}
        )

    def act(self, request_id: int) -> None:
        self.socket.say({"type": "Action", "requestId": request_id, "udfPath": "a:b", "args": [{}]})

    def authenticate(self, value: str | None, token_type: str = "User") -> None:
        self.socket.say(
            {
                "type": "Authenticate",
                "baseVersion": self.identity,
                "tokenType": token_type,
                "value": value,
            }
        )
        self.identity += 1

    async def transition(self) -> JsonObject:
        return await self.socket.hear_until("Transition")

    async def ending(self) -> Ending | None:
        assert self.running is not None
        async with asyncio.timeout(30):
            return await self.running


@asynccontextmanager
async def open_client(
    *,
    takes_chunks: bool = True,
    sync: SyncSettings | None = None,
    shares_with: Client | None = None,
) -> AsyncIterator[Client]:
    """A connected client; with `shares_with` at the same server as that one."""
    client = Client(sync or SyncSettings(), takes_chunks=takes_chunks, shares_with=shares_with)
    client.running = asyncio.create_task(client.worker.run(), name="worker under test")
    try:
        yield client
    finally:
        client.socket.leave()
        client.socket.accepts.set()
        await client.ending()
        await client.actions.close()
        await let_run()
        client.queries.check_invariants()
        if shares_with is None:
            check_nothing_is_left(client)


def check_nothing_is_left(client: Client) -> None:
    """After the last connection of a server."""
    assert len(client.queries) == 0
    names = [task.get_name() for task in asyncio.all_tasks()]
    left = [name for name in names if name.startswith(("sync", "live query", "action"))]
    assert not left, "a connection that has ended has no tasks"
    assert not client.backend.subscriptions


def values(transition: JsonObject) -> dict[int, Any]:
    return {
        change["queryId"]: change["value"]
        for change in transition["modifications"]
        if change["type"] == "QueryUpdated"
    }


def end_ts(transition: JsonObject) -> int:
    return decode_timestamp(transition["endVersion"]["ts"])


async def let_run() -> None:
    """Let everything that is ready run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


async def see(clients: list[Client], value: object) -> None:
    for client in clients:
        while values(await client.transition()).get(0) != value:
            pass
