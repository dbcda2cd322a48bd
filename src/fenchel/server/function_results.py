"""Results of functions as HTTP bodies, in the format that the caller asked for (client-protocol
1.3, 2.4).
"""

from __future__ import annotations

from enum import Enum

import msgspec

from fenchel.application import ClientResult
from fenchel.errors import bad_request
from fenchel.server.client_version import ClientVersion
from fenchel.values import decode_json, encode_clean_json, encode_export_json, encode_json


class ValueFormat(Enum):
    """SPLICED is ENCODED as the function's runtime wrote it, where a float may look like `17`."""

    ENCODED = "convex_encoded_json"
    SPLICED = "convex_encoded_json, unread"
    CLEAN = "json"
    EXPORT = "export_json"


_FORMATS = {
    "convex_encoded_json": ValueFormat.ENCODED,
    "convex_json": ValueFormat.ENCODED,
    "json": ValueFormat.CLEAN,
    "convex_clean_json": ValueFormat.CLEAN,
    "export_json": ValueFormat.EXPORT,
}


class SuccessBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    status: str
    value: msgspec.Raw
    log_lines: tuple[str, ...] = ()


class ErrorBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """`error_data` is present only for a ConvexError, then even if it is null."""

    status: str
    error_message: str
    error_data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    log_lines: tuple[str, ...] = ()


def decode_format(name: str | None, client: ClientVersion | None) -> ValueFormat:
    """Checked before the function runs, unlike the reference. Raises: BadFormat."""
    if name is None:
        name = "json" if client is None or not client.wants_encoded_json else "convex_json"
    value_format = _FORMATS.get(name)
    if value_format is None:
        raise bad_request("BadFormat", f"Unknown format {name!r}. Use one of {list(_FORMATS)}.")
    if value_format is ValueFormat.ENCODED and client is not None and client.takes_integers:
        return ValueFormat.SPLICED
    return value_format


def result_body(result: ClientResult, value_format: ValueFormat) -> SuccessBody | ErrorBody:
    """Always sent with status 200: Python's client fails on 560."""
    log_lines = tuple(line.pretty for line in result.log_lines)
    if result.is_success:
        return SuccessBody(
            status="success",
            value=_format_value(result.value_json, value_format),
            log_lines=log_lines,
        )
    data = result.error_data_json
    return ErrorBody(
        status="error",
        error_message=result.error_message,
        error_data=msgspec.UNSET if data is None else _format_value(data, value_format),
        log_lines=log_lines,
    )


def _format_value(value_json: str, value_format: ValueFormat) -> msgspec.Raw:
    match value_format:
        case ValueFormat.SPLICED:
            text = value_json
        case ValueFormat.ENCODED:
            text = encode_json(decode_json(value_json))
        case ValueFormat.CLEAN:
            text = encode_clean_json(decode_json(value_json))
        case ValueFormat.EXPORT:
            text = encode_export_json(decode_json(value_json))
    return msgspec.Raw(text.encode())
