"""A server that answers the Convex HTTP API: filled with the documents, then measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.fanout_process import NONCE
from benchmarks.load import (
    CHANNEL_COUNT,
    CONNECTION_COUNT_MAX,
    DOCUMENT_COUNT,
    Call,
    FanoutLoad,
    FanoutReport,
    HttpLoad,
    Load,
    LoadReport,
    SocketLoad,
    run_fanout_load,
    run_http_load,
    run_socket_load,
)

FILL_BATCH = 500
FILL_BODY = "a message of ordinary length, as people write them to each other all day long"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPeer:
    """One module of functions on one server."""

    name: str
    process_id: int
    port: int
    module: str
    members: Sequence[str]
    socket_path: str
    hello: Sequence[str]
    subscribers_max: int = 10_000

    async def run(self, load: Load) -> LoadReport:
        return await run_http_load(
            HttpLoad(
                port=self.port,
                process_id=self.process_id,
                module=self.module,
                members=list(self.members),
                load=load,
            )
        )

    async def run_sockets(self, load: Load) -> LoadReport:
        """The load's requests as queries that are added to the set of a WebSocket."""
        return await run_socket_load(
            SocketLoad(
                port=self.port,
                process_id=self.process_id,
                module=self.module,
                socket_path=self.socket_path,
                load=load,
            )
        )

    async def run_fanout(
        self,
        *,
        subscribers: int,
        is_distinct: bool,
        warm_up_sends: int,
        sends: int,
        first_sequence: int,
    ) -> FanoutReport | None:
        if is_distinct and not any(NONCE in text for text in self.hello):
            return None
        if subscribers > self.subscribers_max:
            return None
        return await run_fanout_load(
            FanoutLoad(
                port=self.port,
                process_id=self.process_id,
                module=self.module,
                member=self.members[0],
                socket_path=self.socket_path,
                hello=list(self.hello),
                subscribers=subscribers,
                is_distinct=is_distinct,
                warm_up_sends=warm_up_sends,
                sends=sends,
                first_sequence=first_sequence,
            )
        )


async def fill(port: int) -> list[str]:
    """Inserts DOCUMENT_COUNT messages in batches and the members; gives the members' ids."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for start in range(0, DOCUMENT_COUNT, FILL_BATCH):
            await call_mutation(
                session,
                "seed:messages",
                {
                    "from": float(start),
                    "to": float(start + FILL_BATCH),
                    "channels": float(CHANNEL_COUNT),
                    "body": FILL_BODY,
                },
            )
        ids: list[str] = await call_mutation(
            session, "seed:members", {"count": float(CONNECTION_COUNT_MAX)}
        )
        return ids


async def call_mutation(session: aiohttp.ClientSession, path: str, args: dict[str, Any]) -> Any:
    """Value of a mutation. Raises RuntimeError with the server's message if it fails."""
    call = Call(path=path, args=[args])
    body = {"path": call.path, "args": call.args, "format": call.format}
    async with session.post("/api/mutation", json=body) as response:
        text = await response.text()
        if response.status != 200:
            raise RuntimeError(f"{path} gave status {response.status}: {text}")
        answer = await response.json()
    if answer["status"] != "success":
        raise RuntimeError(f"{path} failed: {text}")
    return answer["value"]
