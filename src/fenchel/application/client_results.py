"""What clients may see of an outcome: error texts, redaction, fingerprints (execution 5.3)."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from fenchel.application.calls import ClientResult, HttpActionError
from fenchel.errors import ErrorKind, FenchelError
from fenchel.udf import FunctionResult, JsError, UdfOutcome

_SERVER_ERROR = "Server Error"


def encode_client_result(
    outcome: UdfOutcome, *, request_id: str, redact_errors: bool
) -> ClientResult:
    """The outcome for a client; ConvexError data is delivered even when errors are redacted."""
    lines = () if redact_errors else outcome.log_lines
    match outcome.result:
        case FunctionResult(value_json):
            return ClientResult(is_success=True, value_json=value_json, log_lines=lines)
        case JsError() as error:
            result = encode_client_error(error, request_id=request_id, redact_errors=redact_errors)
            return replace(result, log_lines=lines)


def encode_client_error(error: JsError, *, request_id: str, redact_errors: bool) -> ClientResult:
    """A developer error for a client, without log lines."""
    head = f"[Request ID: {request_id}] {_SERVER_ERROR}"
    return ClientResult(
        is_success=False,
        error_message=head if redact_errors else f"{head}\n{error.pretty}",
        error_data_json=error.data_json,
    )


def encode_http_error(error: JsError, *, request_id: str, redact_errors: bool) -> HttpActionError:
    """A developer error for the client of an HTTP action."""
    head = f"[Request ID: {request_id}] {_SERVER_ERROR}"
    return HttpActionError(
        code=head if redact_errors else f"{head}: {error.message}",
        trace=None if redact_errors else error.pretty,
        data_json=error.data_json,
    )


def fingerprint(outcome: UdfOutcome) -> bytes:
    """SHA-256 of result and log lines, without times and request ids.

    Lines count by level and text: their times change with every run, and clients never see them.
    """
    digest = hashlib.sha256()
    match outcome.result:
        case FunctionResult(value_json):
            digest.update(b"value\0" + value_json.encode())
        case JsError() as error:
            digest.update(b"error\0" + error.pretty.encode())
            digest.update(b"\0" + (error.data_json or "").encode())
    for line in outcome.log_lines:
        digest.update(b"\0" + line.pretty.encode())
    return digest.digest()


def callee_error(error: JsError, *, redact_errors: bool) -> FenchelError:
    """The failure of a function that an action called, without the request id (execution 5.3)."""
    return FenchelError(
        ErrorKind.BAD_REQUEST,
        "FunctionFailed",
        _SERVER_ERROR if redact_errors else error.pretty,
        data_json=error.data_json,
    )
