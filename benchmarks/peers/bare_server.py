"""The server that Fenchel stands on, without Fenchel: uvicorn, httptools, websockets on uvloop, and
an application that gives every request and every message the same list.

Usage: python -m benchmarks.peers.bare_server PORT
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from benchmarks.peers.fixed_answer import BODY, DOCUMENTS
from benchmarks.peers.http_peer import HttpPeer
from benchmarks.peers.python_server import open_fixed_peer, serve_asgi

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


def open_bare_server() -> AbstractAsyncContextManager[HttpPeer]:
    """A running one."""
    return open_fixed_peer(NAME, "bare_server")


if __name__ == "__main__":
    serve_asgi(
        application, ws="websockets-sansio", server_header=False, ws_per_message_deflate=False
    )
