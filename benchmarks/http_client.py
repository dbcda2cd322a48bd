"""A keep-alive HTTP/1.1 client connection that costs a few microseconds per request.

Only what the peers answer is understood: status 200 and a Content-Length. Anything else ends the
benchmark with the answer in the message, because a figure from wrong answers is worthless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast


def encode_request(endpoint: str, body: bytes) -> bytes:
    """One POST to /api/<endpoint>, ready to be written."""
    return b"\r\n".join(
        (
            b"POST /api/%s HTTP/1.1" % endpoint.encode(),
            b"Host: 127.0.0.1",
            b"Content-Type: application/json",
            b"Convex-Client: npm-1.48.0",
            b"Content-Length: %d" % len(body),
            b"",
            body,
        )
    )


def encode_get(path: str) -> bytes:
    """One GET, ready to be written."""
    return b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode()


class HttpConnection(asyncio.Protocol):
    """Calls `on_body` once for each response, and `on_failure` when the server is not usable."""

    def __init__(
        self, on_body: Callable[[bytes], None], on_failure: Callable[[Exception], None]
    ) -> None:
        self._on_body = on_body
        self._on_failure = on_failure
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def send(self, request: bytes) -> None:
        """Writes a request. The caller waits for the answer before it sends the next."""
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._on_failure(error or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head_end = buffer.find(b"\r\n\r\n")
        if head_end < 0:
            self._buffer = buffer
            return
        length = _content_length(buffer[:head_end])
        if not buffer.startswith(b"HTTP/1.1 200") or length is None:
            self._on_failure(RuntimeError(f"unexpected answer: {buffer[:500]!r}"))
            return
        if len(buffer) < head_end + 4 + length:
            self._buffer = buffer
            return
        self._buffer = buffer[head_end + 4 + length :]
        self._on_body(buffer[head_end + 4 : head_end + 4 + length])


def _content_length(head: bytes) -> int | None:
    start = head.lower().find(b"\r\ncontent-length:")
    if start < 0:
        return None
    end = head.find(b"\r\n", start + 2)
    return int(head[start + 17 : end if end >= 0 else len(head)])
