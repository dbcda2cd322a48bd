"""The one table from kinds of errors to HTTP statuses (client-protocol 2.5, deploy 1.5)."""

from __future__ import annotations

import msgspec

from fenchel.errors import ErrorKind, FenchelError
from fenchel.server.response import Response

HTTP_STATUS: dict[ErrorKind, int] = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.PAGINATION_LIMIT: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.AUTH_UPDATE_FAILED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CLIENT_DISCONNECT: 408,
    ErrorKind.CONFLICT: 409,
    ErrorKind.MISDIRECTED_REQUEST: 421,
    ErrorKind.TOO_EARLY: 425,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.OPERATIONAL: 500,
    ErrorKind.OCC: 503,
    ErrorKind.OUT_OF_RETENTION: 503,
    ErrorKind.OVERLOADED: 503,
    ErrorKind.FEATURE_UNAVAILABLE: 503,
    ErrorKind.REJECTED_BEFORE_EXECUTION: 503,
}

_INTERNAL_MESSAGE = "Your request couldn't be completed. Try again later."


class _ErrorBody(msgspec.Struct, frozen=True):
    """Both keys are required: the Python client indexes them."""

    code: str
    message: str


def error_response(error: FenchelError, request_id: str) -> Response:
    """What the caller sees of `error`; of an internal one only the request id."""
    if error.kind is ErrorKind.OPERATIONAL:
        body = _ErrorBody("InternalServerError", f"[Request ID: {request_id}] {_INTERNAL_MESSAGE}")
    else:
        body = _ErrorBody(error.code, error.message)
    return Response(
        status=HTTP_STATUS[error.kind],
        body=msgspec.json.encode(body),
        content_type="application/json",
        error_code=error.code,
    )
