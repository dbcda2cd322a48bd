"""JSON text to values, by the rules of `convex_encoded_json` (client-protocol specification 1.2,
1.4, 1.7).

Numbers of plain JSON always become floats. Decoded values keep every limit but the total size.
"""

from __future__ import annotations

import math
import struct
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from typing import Annotated, Any, cast

import msgspec

from fenchel.errors import FenchelError, bad_request
from fenchel.values.value import (
    ARRAY_LENGTH_MAX,
    COMMIT_TS,
    FIELD_NAME_LENGTH_MAX,
    OBJECT_FIELDS_MAX,
    UNDEFINED,
    VALUE_NESTING_MAX,
    UndefinedType,
    Value,
    check_array_length,
    check_field_count,
    check_field_name,
    holds_commit_ts,
    too_nested,
)

# Depth that the compiled decoder covers; its size doubles with each level.
_PLAIN_NESTING_MAX = 6


def decode_json(text: str | bytes, *, allows_commit_ts: bool = False) -> Value:
    """The value of one JSON text; only what belongs to a mutation's transaction may hold
    `{"$commitTs": null}`.

    Raises: InvalidJson for text that is not JSON (also NaN tokens, lone surrogates, numbers out of
    range), InvalidConvexValue for bad `$` escapes, and the limits of execution specification 4.2.
    """
    if may_hold_escapes(text):
        return decode_value(
            parse_json(text),
            allows_commit_ts=allows_commit_ts or not may_hold_commit_ts(text),
        )
    try:
        value = cast("Value", _plain_decoder.decode(text))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # Too deep for that decoder, or a fault that the general way finds again and words.
        return decode_value(parse_json(text))
    if not _has_only_good_names(text):
        _check_names(value)
    return value


def parse_json(text: str | bytes) -> Any:
    """Parsed JSON, not yet a value. Raises: InvalidJson, TooNestedError."""
    try:
        return _any_decoder.decode(text)
    except RecursionError as error:
        raise bad_request("TooNestedError", "JSON is nested too deeply") from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise bad_request("InvalidJson", f"Not valid JSON: {error}") from error


def decode_value(parsed: Any, *, allows_commit_ts: bool = False) -> Value:
    """The value of parsed JSON, where numbers are `int` or `float`. Raises: as `decode_json`."""
    value = _decode(parsed, 0)
    if not allows_commit_ts and holds_commit_ts(value):
        raise _invalid(
            "a commit timestamp (`db.vars.commitTs`) that is not known yet cannot leave the "
            "mutation it belongs to"
        )
    return value


def decode_optional_value(parsed: Any) -> Value | UndefinedType:
    """As `decode_value` inside a transaction, with `{"$undefined": null}` as `UNDEFINED` (execution
    specification 2.2)."""
    return UNDEFINED if parsed == {"$undefined": None} else _decode(parsed, 0)


def decode_patch(parsed: Any) -> dict[str, Value | UndefinedType]:
    """The fields of a patch inside a transaction; those to remove are `UNDEFINED`. Raises: as
    `decode_json`."""
    if not isinstance(parsed, dict):
        raise _invalid("Value must be an Object")
    check_field_count(len(parsed))
    for name in parsed:
        check_field_name(name)
    return {name: decode_optional_value(item) for name, item in parsed.items()}


def may_hold_escapes(text: str | bytes) -> bool:
    """False if no field name can start with `$`, spelled as itself or as `\\u0024`."""
    if isinstance(text, bytes):
        return (b"$" in text or b"\\" in text) and (b'"$' in text or b"\\u0024" in text)
    # One character is found a hundred times faster than two, and most texts have neither.
    return ("$" in text or "\\" in text) and ('"$' in text or "\\u0024" in text)


def may_hold_commit_ts(text: str | bytes) -> bool:
    """False if the text spells no `$commitTs`, with or without escapes of characters."""
    if isinstance(text, bytes):
        return (b"$" in text or b"\\" in text) and (b"$commitTs" in text or b"\\u" in text)
    return ("$" in text or "\\" in text) and ("$commitTs" in text or "\\u" in text)


def _has_only_good_names(text: str | bytes) -> bool:
    """True if no character of the text, and so of any field name, is outside printable ASCII."""
    if isinstance(text, str):
        return text.isascii() and "\\" not in text and "\x7f" not in text
    return text.isascii() and b"\\" not in text and b"\x7f" not in text


def _check_names(value: Value) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            check_field_name(name)
            _check_names(item)
    elif isinstance(value, list):
        for item in value:
            _check_names(item)


def _plain_type(levels: int) -> Any:
    """Type of a value without `$` escapes, at most `levels` deep; C code then checks the limits."""
    scalar = None | bool | float | str
    if levels == 0:
        return scalar
    inner = _plain_type(levels - 1)
    name = Annotated[str, msgspec.Meta(max_length=FIELD_NAME_LENGTH_MAX)]
    array: Any = list[inner]  # type: ignore[valid-type]
    fields: Any = dict[name, inner]  # type: ignore[valid-type]
    return (
        scalar
        | Annotated[array, msgspec.Meta(max_length=ARRAY_LENGTH_MAX)]
        | Annotated[fields, msgspec.Meta(max_length=OBJECT_FIELDS_MAX)]
    )


_plain_decoder = msgspec.json.Decoder(_plain_type(_PLAIN_NESTING_MAX))
_any_decoder = msgspec.json.Decoder()


def _decode(parsed: Any, level: int) -> Value:
    kind = type(parsed)
    if kind is str or kind is float or kind is bool or parsed is None:
        return cast("Value", parsed)
    if kind is int:
        return decode_number(parsed)
    if kind is dict:
        return _decode_object(parsed, level)
    if kind is list:
        check_array_length(len(parsed))
        check_level(level)
        return [_decode(item, level + 1) for item in parsed]
    raise AssertionError(f"not parsed JSON: {kind.__name__}")


def _decode_object(parsed: dict[str, Any], level: int) -> Value:
    if len(parsed) == 1:
        name, payload = next(iter(parsed.items()))
        decode_escape = _ESCAPES.get(name)
        if decode_escape is not None:
            return decode_escape(payload)
    check_field_count(len(parsed))
    check_level(level)
    for name in parsed:
        check_field_name(name)
    return {name: _decode(item, level + 1) for name, item in parsed.items()}


def check_level(level: int) -> None:
    """`level` counts the arrays and objects around one. Raises: TooNestedError."""
    if level == VALUE_NESTING_MAX:
        raise too_nested(level + 1)


def decode_number(number: int) -> float:
    """A plain JSON number that was spelled as an integer. Raises: InvalidJson."""
    try:
        return float(number)
    except OverflowError as error:
        raise bad_request("InvalidJson", "Not valid JSON: number out of range") from error


def _decode_base64(payload: Any) -> bytes:
    if not isinstance(payload, str):
        raise _invalid("expected a base64 string")
    try:
        return a2b_base64(payload.encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeError) as error:
        raise _invalid(f"not valid base64: {error}") from error


def _decode_eight_bytes(payload: Any) -> bytes:
    data = _decode_base64(payload)
    if len(data) != 8:
        raise _invalid(f"received {len(data)} bytes, expected 8 for $integer or $float")
    return data


def _decode_integer(payload: Any) -> Value:
    return int.from_bytes(_decode_eight_bytes(payload), "little", signed=True)


def _decode_float(payload: Any) -> Value:
    number = cast("float", struct.unpack("<d", _decode_eight_bytes(payload))[0])
    # Zeros pass: the reference host accepts +0.0 here although its clients never send it.
    if math.isfinite(number) and number != 0:
        raise _invalid(f"$float must hold a special value, but holds {number}")
    return number


def _decode_commit_ts(payload: Any) -> Value:
    if payload is not None:
        raise _invalid("$commitTs takes null")
    return COMMIT_TS


def _refuse_retired(_payload: Any) -> Value:
    raise _invalid("Sets and Maps are not supported")


_ESCAPES: dict[str, Callable[[Any], Value]] = {
    "$integer": _decode_integer,
    "$float": _decode_float,
    "$bytes": _decode_base64,
    "$commitTs": _decode_commit_ts,
    "$set": _refuse_retired,
    "$map": _refuse_retired,
}


def _invalid(message: str) -> FenchelError:
    return bad_request("InvalidConvexValue", message)
