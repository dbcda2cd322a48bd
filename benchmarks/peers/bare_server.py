"""The server that Fenchel stands on, without Fenchel: uvicorn, httptools, websockets on uvloop, and
an application that gives every request and every message the same list.

Usage: python -m benchmarks.peers.bare_server PORT
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import uvicorn

from benchmarks.load import ROOT
from benchmarks.peers.fixed_answer import BODY, DOCUMENTS
from benchmarks.peers.http_peer import HttpPeer
from benchmarks.peers.server_process import free_port, run_server

NAME = "bare-uvicorn"
_ZERO = {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}
_UPDATE = {
    "type": "QueryUpdated",
    "queryId": 0,
    "value": DOCUMENTS,
    "logLines": [],
    "journal": None,
}
TRANSITION = msgspec.json.encode(
    {
        "type": "Transition",
        "startVersion": _ZERO,
        "endVersion": _ZERO,
        "modifications": [{"type": "QueryRemoved", "queryId": 0}, _UPDATE],
    }
).decode()
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def application(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await _echo(receive, send)
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": TRANSITION})


@asynccontextmanager
async def open_bare_server() -> AsyncIterator[HttpPeer]:
    """A running one, behind the verbs of a peer; it holds no documents."""
    port = free_port()
    with TemporaryDirectory() as folder:
        async with run_server(
            [sys.executable, "-m", "benchmarks.peers.bare_server", str(port)],
            port=port,
            log_path=Path(folder) / "server.log",
            cwd=ROOT,
            environment=os.environ,
        ) as server:
            yield HttpPeer(
                name=NAME,
                process_id=server.pid,
                port=port,
                module="messages",
                members=[""],
                socket_path="/",
                hello=(),
            )


if __name__ == "__main__":
    uvicorn.run(
        application,
        port=int(sys.argv[1]),
        http="httptools",
        ws="websockets-sansio",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        server_header=False,
        ws_per_message_deflate=False,
        log_level="warning",
    )
