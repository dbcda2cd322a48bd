"""Browsers of any origin may talk to the API; HTTP actions decide for themselves (client-protocol
2.7).
"""

from __future__ import annotations

from fenchel.server.request import Request
from fenchel.server.response import Headers, Response

_VARY = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
_METHODS = b"GET, POST, OPTIONS, PATCH, DELETE, PUT"


def cors_headers(request: Request) -> Headers:
    """Nothing without an Origin; else the origin reflected, with credentials allowed."""
    origin = request.headers.get("origin")
    if origin is None:
        return ()
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", _VARY),
    )


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "access-control-request-method" in request.headers


def preflight_response(request: Request) -> Response:
    """Answered by the layer itself, whatever the path."""
    asked = request.headers.get("access-control-request-headers", "")
    return Response(
        headers=(
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", b"86400"),
        )
    )
