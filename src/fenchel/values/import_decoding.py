"""JSON of imported files to values (database specification 10.2 and 10.5).

`export_json` tells Int64 from Float64 by the spelling of a number; plain JSON, which other programs
write, has only Float64 and no escapes. Decoded values keep every limit but the total size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from fenchel.errors import bad_request
from fenchel.values.json_decoding import (
    check_level,
    decode_json,
    decode_number,
    decode_value,
    may_hold_escapes,
    parse_json,
)
from fenchel.values.value import (
    INT64_MAX,
    INT64_MIN,
    Value,
    check_array_length,
    check_field_count,
    check_field_name,
)

_ESCAPES = frozenset({"$integer", "$float", "$bytes"})


def decode_export_json(text: str | bytes) -> Value:
    """The value of `encode_export_json` text: `5` is an Int64, `5.0` a Float64.

    Raises: as `decode_json`.
    """
    return _decode(parse_json(text), 0, _int64, has_escapes=True)


def decode_plain_json(text: str | bytes) -> Value:
    """The value of JSON without escapes: every number is a Float64 and no field begins with `$`.

    Raises: as `decode_json`.
    """
    if may_hold_escapes(text):
        return _decode(parse_json(text), 0, decode_number, has_escapes=False)
    return decode_json(text)


def _decode(
    parsed: Any, level: int, decode_int: Callable[[int], Value], *, has_escapes: bool
) -> Value:
    kind = type(parsed)
    if kind is str or kind is float or kind is bool or parsed is None:
        return cast("Value", parsed)
    if kind is int:
        return decode_int(parsed)
    if kind is list:
        check_array_length(len(parsed))
        check_level(level)
        return [_decode(item, level + 1, decode_int, has_escapes=has_escapes) for item in parsed]
    assert kind is dict, kind
    if has_escapes and len(parsed) == 1 and next(iter(parsed)) in _ESCAPES:
        return decode_value(parsed)
    check_field_count(len(parsed))
    check_level(level)
    for name in parsed:
        check_field_name(name)
    return {
        name: _decode(item, level + 1, decode_int, has_escapes=has_escapes)
        for name, item in parsed.items()
    }


def _int64(number: int) -> int:
    if not INT64_MIN <= number <= INT64_MAX:
        raise bad_request("InvalidConvexValue", f"{number} does not fit into an Int64")
    return number
