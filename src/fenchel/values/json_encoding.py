"""Values to JSON text, in the three formats of the database specification 10.2.

Output is canonical: names sorted, no whitespace, floats always with a point or an exponent (the
official Python client refuses bare integers). Equal values give equal texts.
"""

from __future__ import annotations

import math
import struct
from binascii import b2a_base64
from collections.abc import Callable
from typing import Any, cast

import msgspec

from fenchel.values.examination import is_special
from fenchel.values.json_decoding import decode_json
from fenchel.values.value import (
    COMMIT_TS,
    INT64_MAX,
    INT64_MIN,
    Value,
    resolve_commit_ts,
)

# "deterministic" sorts the names of every object.
_encode = msgspec.json.Encoder(order="deterministic").encode
_pack_float = struct.Struct("<d").pack
_COMMIT_TS_JSON = '{"$commitTs":null}'


def encode_json(value: Value, *, is_plain: bool = False) -> str:
    """`convex_encoded_json`: the lossless form, read back by `decode_json`.

    `is_plain` as `examine_value` has found: nothing has to be converted then.
    """
    return _encode(value if is_plain else _lossless(value)).decode()


def canonical_json(value: Value, source: str) -> str:
    """`encode_json(value)` for a value that was just decoded from `source`.

    JavaScript writes 17 for 17.0. A text without $-forms holds no scalar that needs one, so
    nothing has to be converted before it is written again.
    """
    may_hold_escapes = "$" in source and '"$' in source
    return encode_json(value) if may_hold_escapes else _encode(value).decode()


def has_commit_ts(text: str) -> bool:
    """Whether a text that `encode_json` made holds an unknown commit timestamp.

    Inside of strings the quote would have a backslash, and no field name begins with `$`.
    """
    return "$" in text and _COMMIT_TS_JSON in text


def resolve_commit_ts_json(text: str, ts: int) -> str:
    """The text of `encode_json` with `ts` for every unknown commit timestamp."""
    if not has_commit_ts(text):
        return text
    return encode_json(resolve_commit_ts(decode_json(text, allows_commit_ts=True), ts))


def encode_clean_json(value: Value) -> str:
    """`json`: Int64 as decimal string, bytes as base64 string; lossy, output only."""
    return _encode(_convert(value, _clean_scalar)).decode()


def encode_export_json(value: Value) -> str:
    """`export_json`: Int64 as bare number; lossless for readers that tell `5` from `5.0`."""
    return _encode(_convert(value, _export_scalar)).decode()


def convert_to_export_json(text: str) -> str:
    """`encode_export_json(decode_json(text))` for a text that `encode_json` made.

    The two forms differ in Int64 and in -0.0 only, and inside of strings the quote of `{"$` would
    have a backslash: most texts are in the other form already.
    """
    return encode_export_json(decode_json(text)) if "$" in text and '{"$' in text else text


def convert_to_clean_json(text: str) -> str:
    """`encode_clean_json(decode_json(text))` for a text that `encode_json` made, see above."""
    return encode_clean_json(decode_json(text)) if '{"$' in text else text


def _lossless(value: Value) -> Any:
    """What msgspec writes as lossless JSON. The hottest function here: one call per item."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is float:
        number = cast("float", value)
        return {"$float": _base64(_pack_float(number))} if is_special(number) else number
    if kind is dict:
        return {name: _lossless(item) for name, item in cast("dict[str, Value]", value).items()}
    if kind is list:
        return [_lossless(item) for item in cast("list[Value]", value)]
    if kind is int:
        return {
            "$integer": _base64(_checked(cast("int", value)).to_bytes(8, "little", signed=True))
        }
    if kind is bytes:
        return {"$bytes": _base64(cast("bytes", value))}
    if value is COMMIT_TS:
        return {"$commitTs": None}
    raise AssertionError(f"not a value: {kind.__name__}")


def _convert(value: Value, convert_scalar: Callable[[Value], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _convert(item, convert_scalar) for name, item in value.items()}
    if isinstance(value, list):
        return [_convert(item, convert_scalar) for item in value]
    return convert_scalar(value)


def _clean_scalar(value: Value) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(_checked(value))
    if isinstance(value, bytes):
        return _base64(value)
    assert value is not COMMIT_TS, "unknown in what leaves the database"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _export_scalar(value: Value) -> Any:
    assert value is not COMMIT_TS, "unknown in what leaves the database"
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": _base64(_pack_float(value))}
    if isinstance(value, bytes):
        return {"$bytes": _base64(value)}
    return _checked(value) if type(value) is int else value


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _checked(number: int) -> int:
    assert INT64_MIN <= number <= INT64_MAX, "Int64 out of range"
    return number
