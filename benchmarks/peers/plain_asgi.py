"""What HTTP actions are measured on: the same three routes as an ASGI application on uvicorn.

Usage: python -m benchmarks.peers.plain_asgi PORT
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from benchmarks.peers.python_server import serve_asgi

# As in the app of `benchmarks.http_actions`.
JSON_ANSWER = b'{"ok":true,"text":"a small answer"}'
STREAM_BYTES = 16 << 20
PIECE = bytes(1 << 16)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def application(scope: Message, receive: Receive, send: Send) -> None:
    match scope["path"]:
        case "/json":
            await _answer(send, JSON_ANSWER)
        case "/count":
            await _answer(send, b'{"bytes":%d}' % await _count(receive))
        case _:
            await _stream(send)


async def _count(receive: Receive) -> int:
    size, is_more = 0, True
    while is_more:
        message = await receive()
        size += len(message.get("body", b""))
        is_more = message.get("more_body", False)
    return size


async def _stream(send: Send) -> None:
    await _begin(send, b"application/octet-stream", STREAM_BYTES)
    for _ in range(STREAM_BYTES // len(PIECE)):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, body: bytes) -> None:
    await _begin(send, b"application/json", len(body))
    await send({"type": "http.response.body", "body": body})


async def _begin(send: Send, content_type: bytes, size_bytes: int) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % size_bytes)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


if __name__ == "__main__":
    serve_asgi(application)
