"""Drives one official npm client, which runs in a Node process of its own (clients/driver.mjs)."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from tests.end_to_end.fenchel_server import HERE, NODE, clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

UPDATE_SECONDS_MAX = 90.0


class NpmClientError(Exception):
    """What the client threw. `data` is the payload of a ConvexError, otherwise None."""

    def __init__(self, message: str, data: Any) -> None:
        super().__init__(message)
        self.data = data


class NpmClient:
    """Commands go out with ids; answers and updates come back in one queue per id."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._events: list[asyncio.Queue[dict[str, Any]]] = []

    async def query(self, path: str, **args: Any) -> Any:
        return await self._call("query", path, args)

    async def mutation(self, path: str, **args: Any) -> Any:
        return await self._call("mutation", path, args)

    async def action(self, path: str, **args: Any) -> Any:
        return await self._call("action", path, args)

    async def consistent_query(self, path: str, **args: Any) -> Any:
        """Over HTTP: all of one client see the same snapshot."""
        return await self._call("consistentQuery", path, args)

    async def function(self, path: str, **args: Any) -> Any:
        """Over HTTP, for admins: whatever type the function has."""
        return await self._call("function", path, args)

    async def act_as(self, admin_key: str, **identity: Any) -> None:
        """From now on calls are an admin's, who acts as a user if there is an identity."""
        await self._call("actAs", admin_key, identity)

    def subscribe(self, path: str, **args: Any) -> Updates:
        return self.start("subscribe", path, **args)

    async def unsubscribe(self, updates: Updates) -> None:
        await self._send("unsubscribe", updates.number, {}).next()

    async def _call(self, op: str, path: str, args: dict[str, Any]) -> Any:
        return await self.start(op, path, **args).next()

    def start(self, op: str, path: str, **args: Any) -> Updates:
        """Begins a call without waiting for its answer."""
        return self._send(op, path, args)

    def _send(self, op: str, path: str | int, args: dict[str, Any]) -> Updates:
        assert self._process.stdin is not None
        number = len(self._events)
        command = {"id": number, "op": op, "path": path, "args": args}
        self._events.append(asyncio.Queue())
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return Updates(number, self._events[-1])

    async def read_events(self) -> None:
        """Sorts what the process prints into the queues, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            self._events[event["id"]].put_nowait(event)


class Updates:
    """The values of one call or subscription, in the order in which the client gave them."""

    def __init__(self, number: int, events: asyncio.Queue[dict[str, Any]]) -> None:
        self.number = number
        self._events = events

    async def next(self) -> Any:
        """The next value; raises NpmClientError for an error, TimeoutError if nothing comes."""
        event = await asyncio.wait_for(self._events.get(), UPDATE_SECONDS_MAX)
        if "error" in event:
            raise NpmClientError(event["error"], event.get("data"))
        return event["value"]

    async def until(self, wanted: Any) -> list[Any]:
        """All values up to and including the wanted one."""
        seen = [await self.next()]
        while seen[-1] != wanted:
            seen.append(await self.next())
        return seen


@asynccontextmanager
async def npm_client(kind: Literal["http", "websocket"], url: str) -> AsyncIterator[NpmClient]:
    """A connected `ConvexHttpClient` or `ConvexClient`, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        NODE,
        HERE / "clients/driver.mjs",
        kind,
        url,
        env=clean_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    client = NpmClient(process)
    try:
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(client.read_events(), name="npm client events")
            yield client
            process.kill()
            await reader
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
