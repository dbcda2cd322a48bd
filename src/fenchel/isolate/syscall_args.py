"""Arguments of the system calls, as npm `convex` sends them. Unknown fields are ignored: packages
differ.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw

from fenchel.database import Query
from fenchel.database import decode_query as decode_database_query
from fenchel.errors import FenchelError
from fenchel.isolate.addresses import Address, invalid_arguments
from fenchel.runtime.settings import TransactionLimits
from fenchel.values import (
    UndefinedType,
    Value,
    decode_json,
    decode_patch,
    may_hold_escapes,
    parse_json,
)

# Queries that functions open again and again, mostly with the same arguments.
_REMEMBERED_COUNT = 1_024
_REMEMBERED_BYTES_MAX = 1_024

_Cap = Annotated[float, Meta(ge=0)] | None


class Get(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    is_system: bool = False
    table: str | None = None


class Insert(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    value: Raw


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """Patch and replace."""

    id: str
    value: Raw
    table: str | None = None


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    table: str | None = None


class Count(msgspec.Struct, frozen=True, kw_only=True):
    table: str


class QueryPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    query: Any
    cursor: str | None
    end_cursor: str | None = None
    page_size: int
    maximum_rows_read: int | None = None
    maximum_bytes_read: int | None = None


class StreamPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The worker's own operation: `query` comes with the first call of a stream only."""

    query_id: int
    query: Raw = Raw()
    consumed: list[tuple[int, int, int]] = []


class NestedLimits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Caps of a nested call; keys as in `getTransactionMetrics`."""

    bytes_read: _Cap = None
    bytes_written: _Cap = None
    database_queries: _Cap = None
    documents_read: _Cap = None
    documents_written: _Cap = None
    functions_scheduled: _Cap = None
    scheduled_function_args_bytes: _Cap = None
    files_read: _Cap = None
    file_read_bytes: _Cap = None
    files_written: _Cap = None
    file_write_bytes: _Cap = None


class RunUdf(Address, frozen=True, kw_only=True, rename="camel"):
    udf_type: str
    args: Raw
    transaction_limits: NestedLimits = NestedLimits()


class Call(Address, frozen=True, kw_only=True, rename="camel"):
    """`actions/query`, `actions/mutation`, `actions/action`."""

    args: Raw


class Schedule(Address, frozen=True, kw_only=True, rename="camel"):
    """`ts` in seconds since the epoch."""

    ts: float
    args: Raw


class SignJwt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    expires_in_seconds: float
    claims: dict[str, Any] = {}


class ManagedService(msgspec.Struct, frozen=True, kw_only=True):
    """`getServiceToken` and `getServiceUrl`."""

    service: str


class CancelJob(msgspec.Struct, frozen=True, kw_only=True):
    id: str


class ComponentArgument(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class NormalizeId(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    table: str
    id_string: str


_T = TypeVar("_T")
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def decode_args(type: type[_T], text: bytes, method: str) -> _T:
    """Arguments of `method`. Raises: InvalidArgument."""
    decoder = _decoders.get(type)
    if decoder is None:
        decoder = _decoders[type] = msgspec.json.Decoder(type)
    try:
        args: _T = decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise invalid_arguments(method, error) from error
    return args


def decode_query(query: Raw, method: str) -> Query | None:
    """The query in the text of its AST, None for no text; those met lately are remembered.

    Raises: InvalidArgument, or as `fenchel.database.decode_query`.
    """
    text = bytes(query)
    if text in (b"", b"null"):
        return None
    is_remembered = len(text) <= _REMEMBERED_BYTES_MAX
    decode = _decode_query if is_remembered else _decode_query.__wrapped__
    return decode(text, method)


@lru_cache(maxsize=_REMEMBERED_COUNT)
def _decode_query(text: bytes, method: str) -> Query:
    try:
        parsed = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise invalid_arguments(method, error) from error
    return decode_database_query(parsed)


def decode_document(text: Raw, method: str) -> dict[str, Value]:
    """The object to store. Raises: InvalidArgument, or a limit of execution 4.2."""
    value = _decode_value(text, method)
    if not isinstance(value, dict):
        raise invalid_arguments(method, TypeError("Value must be an Object"))
    return value


def decode_patch_fields(text: Raw, method: str) -> dict[str, Value | UndefinedType]:
    """The fields to change. Raises: a developer error."""
    if not may_hold_escapes(bytes(text)):
        value = _decode_value(text, method)
        if isinstance(value, dict):
            return {**value}
    try:
        parsed = parse_json(bytes(text))
    except FenchelError as error:
        raise invalid_arguments(method, error) from error
    return decode_patch(parsed)


def _decode_value(text: Raw, method: str) -> Value:
    """Raises: InvalidArgument for what is no JSON at all; what `decode_json` says of values."""
    try:
        return decode_json(bytes(text), allows_commit_ts=True)
    except FenchelError as error:
        if error.code == "InvalidJson":
            raise invalid_arguments(method, error) from error
        raise


def tighten(limits: TransactionLimits, caps: NestedLimits) -> TransactionLimits:
    """The lower of each limit and its cap (execution 2.11)."""

    def lower(limit: int, cap: float | None) -> int:
        return limit if cap is None else int(min(limit, cap))

    if caps == NestedLimits():
        return limits
    return replace(
        limits,
        bytes_read_max=lower(limits.bytes_read_max, caps.bytes_read),
        bytes_written_max=lower(limits.bytes_written_max, caps.bytes_written),
        intervals_read_max=lower(limits.intervals_read_max, caps.database_queries),
        documents_read_max=lower(limits.documents_read_max, caps.documents_read),
        documents_written_max=lower(limits.documents_written_max, caps.documents_written),
        functions_scheduled_max=lower(limits.functions_scheduled_max, caps.functions_scheduled),
        scheduled_args_bytes_max=lower(
            limits.scheduled_args_bytes_max, caps.scheduled_function_args_bytes
        ),
        files_read_max=lower(limits.files_read_max, caps.files_read),
        file_bytes_read_max=lower(limits.file_bytes_read_max, caps.file_read_bytes),
        files_written_max=lower(limits.files_written_max, caps.files_written),
        file_bytes_written_max=lower(limits.file_bytes_written_max, caps.file_write_bytes),
    )


def encode_args_array(args: Raw, method: str) -> str:
    """Text of an array with one object, from that or from the object. Raises: InvalidArgument."""
    text = bytes(args).decode()
    try:
        parsed = parse_json(text)
    except FenchelError as error:
        raise invalid_arguments(method, error) from error
    if isinstance(parsed, dict):
        return f"[{text}]"
    if isinstance(parsed, list) and len(parsed) == 1 and isinstance(parsed[0], dict):
        return text
    raise invalid_arguments(method, TypeError("the arguments must be one object"))
