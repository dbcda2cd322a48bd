"""Results as clients get them: modifications of a transition, and failures outside of a function.
Pure."""

from __future__ import annotations

import msgspec

from fenchel.application import ClientResult
from fenchel.errors import ErrorKind, FenchelError
from fenchel.sync.protocol import EncodedModification, QueryFailed, QueryUpdated


def failed_result(error: FenchelError, request_id: str) -> ClientResult:
    """The result that shows `error`; of an internal one only the request id (section 5)."""
    is_internal = error.kind is ErrorKind.OPERATIONAL
    text = "Your request couldn't be completed. Try again later." if is_internal else error.message
    return ClientResult(
        is_success=False,
        error_message=f"[Request ID: {request_id}] Server Error\n{text}\n",
        error_data_json=error.data_json,
    )


def encode_result(result: ClientResult, journal: str | None) -> EncodedModification:
    """The modification that shows a query's result; a value text is spliced in as it is."""
    log_lines = tuple(line.pretty for line in result.log_lines)
    if result.is_success:
        return EncodedModification(
            QueryUpdated(
                query_id=0,
                value=msgspec.Raw(result.value_json.encode()),
                log_lines=log_lines,
                journal=journal,
            )
        )
    return EncodedModification(
        QueryFailed(
            query_id=0,
            error_message=result.error_message,
            log_lines=log_lines,
            journal=journal,
            error_data=raw_or_unset(result.error_data_json),
        )
    )


def raw_or_unset(value_json: str | None) -> msgspec.Raw | msgspec.UnsetType:
    """Error data: absent unless there is some, since clients look at its presence."""
    return msgspec.UNSET if value_json is None else msgspec.Raw(value_json.encode())
