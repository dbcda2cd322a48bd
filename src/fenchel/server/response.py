"""One HTTP response: complete before it is sent, or a file that is sent piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from fenchel.server.request import Send

_PIECE_BYTES = 1 << 18

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`error_code` and `function` are for the request log only. With `repeat` the response may be
    sent again to an equal request whenever that says True.

    With a `file`, that is the body, and sending it closes it.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Headers = ()
    error_code: str | None = None
    function: str | None = None
    file: FileBody | None = None
    repeat: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBody:
    """`size_bytes` from the beginning of `file`, which may be larger than memory."""

    file: BinaryIO
    size_bytes: int


async def send_response(response: Response, headers: Headers, send: Send) -> None:
    """Send it with these headers besides its own."""
    file = response.file
    try:
        all_headers = _all_headers(response, headers)
        await send(
            {"type": "http.response.start", "status": response.status, "headers": all_headers}
        )
        if file is not None:
            await _send_file(file, send)
        await send({"type": "http.response.body", "body": response.body})
    finally:
        if file is not None:
            file.file.close()


def encode_tail(response: Response, headers: Headers) -> bytes:
    """The same as it is written to the connection, behind the headers of all responses."""
    assert response.file is None, "a file is not kept in memory"
    lines = [b"%s: %s\r\n" % header for header in _all_headers(response, headers)]
    return b"".join((*lines, b"\r\n", response.body))


def _all_headers(response: Response, headers: Headers) -> list[tuple[bytes, bytes]]:
    file = response.file
    size_bytes = len(response.body) if file is None else file.size_bytes
    return [
        (b"content-type", response.content_type.encode("latin-1")),
        (b"content-length", str(size_bytes).encode()),
        *response.headers,
        *headers,
    ]


async def _send_file(body: FileBody, send: Send) -> None:
    rest_bytes = body.size_bytes
    while rest_bytes > 0:
        piece = await asyncio.to_thread(body.file.read, min(rest_bytes, _PIECE_BYTES))
        assert piece, "the stored file is shorter than its row says"
        rest_bytes -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})


def text_response(text: str, *, status: int = 200) -> Response:
    return Response(status=status, body=text.encode())


def json_response(
    value: Any, *, function: str | None = None, repeat: Callable[[], bool] | None = None
) -> Response:
    """`value`: anything msgspec can encode, usually a Struct."""
    return Response(
        body=msgspec.json.encode(value),
        content_type="application/json",
        function=function,
        repeat=repeat,
    )
