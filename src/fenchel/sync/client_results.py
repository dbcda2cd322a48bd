"""Failures outside of a function, as the failed results that clients get. Pure."""

from __future__ import annotations

from fenchel.application import ClientResult
from fenchel.errors import ErrorKind, FenchelError


def failed_result(error: FenchelError, request_id: str) -> ClientResult:
    """The result that shows `error`; of an internal one only the request id (section 5)."""
    is_internal = error.kind is ErrorKind.OPERATIONAL
    text = "Your request couldn't be completed. Try again later." if is_internal else error.message
    return ClientResult(
        is_success=False,
        error_message=f"[Request ID: {request_id}] Server Error\n{text}\n",
        error_data_json=error.data_json,
    )
