"""One HTTP response: complete before it is sent, or a file that is sent piece by piece."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from fenchel.server.request import Send

_PIECE_BYTES = 1 << 18
# Of these only the tab may stand in a header's value (RFC 9110, 5.5).
_CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

Headers = tuple[tuple[bytes, bytes], ...]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`error_code` and `function` are for the request log only. With `repeat` the response may be
    sent again to an equal request whenever that says True.

    With a `file`, that is the body, and sending it closes it.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = "text/plain; charset=utf-8"
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


def encode_tail(response: Response, headers: Headers, *, is_head_only: bool) -> bytes:
    """A response without a file, and with these headers besides its own, as it stands on the wire
    behind the headers that all responses have.
    """
    assert response.file is None, "a file is not kept in memory"
    all_headers = response_headers(response, headers, len(response.body))
    return encode_headers(all_headers) + (b"" if is_head_only else response.body)


def encode_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """As they stand on the wire, the empty line behind them included."""
    lines = []
    for name, value in headers:
        assert not _CONTROL_CHARACTER.search(value), f"control character in header {name!r}"
        lines.append(b"%s: %s\r\n" % (name, value))
    return b"".join((*lines, b"\r\n"))


async def send_file(
    response: Response, headers: Headers, send: Send, *, is_head_only: bool
) -> None:
    """Send a response with a file, and with these headers besides its own; close the file."""
    body = response.file
    assert body is not None
    try:
        all_headers = response_headers(response, headers, body.size_bytes)
        await send(
            {"type": "http.response.start", "status": response.status, "headers": all_headers}
        )
        rest_bytes = 0 if is_head_only else body.size_bytes
        while rest_bytes > 0:
            piece = await asyncio.to_thread(body.file.read, min(rest_bytes, _PIECE_BYTES))
            assert piece, "the stored file is shorter than its row says"
            rest_bytes -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        body.file.close()


def response_headers(
    response: Response, headers: Headers, size_bytes: int
) -> list[tuple[bytes, bytes]]:
    """All that this response has beyond those of every response."""
    described = [(b"content-length", str(size_bytes).encode())]
    if response.content_type is not None:
        described.append((b"content-type", response.content_type.encode("latin-1")))
    return [*described, *response.headers, *headers]


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
