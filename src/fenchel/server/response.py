"""One HTTP response, complete before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`error_code` and `function` are for the request log only."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Headers = ()
    error_code: str | None = None
    function: str | None = None


def text_response(text: str, *, status: int = 200) -> Response:
    return Response(status=status, body=text.encode())


def json_response(value: Any, *, function: str | None = None) -> Response:
    """`value`: anything msgspec can encode, usually a Struct."""
    return Response(
        body=msgspec.json.encode(value), content_type="application/json", function=function
    )
