"""The total order of values as byte strings: comparing keys bytewise compares the values.

Source: database specification 4.2. Keys delimit themselves, so an index key is their concatenation,
and every continuation of a complete key starts with a byte below 0xff.
"""

from __future__ import annotations

import struct
from typing import cast

from fenchel.values.value import COMMIT_TS, INT64_MAX, UNDEFINED, UndefinedType, Value

_pack_float = struct.Struct(">d").pack
_pack_tagged_float = struct.Struct(">Bd").pack
_SIGN_BIT = 1 << 63
_ALL_BITS = (1 << 64) - 1
# Widths of an Int64 in bytes, with the tag for a positive and for a negative number.
_INT_WIDTHS = ((1, 0x09, 0x07), (2, 0x0A, 0x06), (4, 0x0B, 0x05), (8, 0x0C, 0x04))


def encode_sort_key(value: Value | UndefinedType) -> bytes:
    """Key bytes of a value; `UNDEFINED` sorts before everything."""
    # Strings and floats make up nearly all index fields.
    kind = type(value)
    if kind is str:
        return b"\x10%b\x00" % cast("str", value).encode().replace(b"\x00", b"\x00\xff")
    if kind is float:
        number = cast("float", value)
        # Of a positive number only the sign bit is set: that of its negative.
        return _pack_tagged_float(0x0D, -number) if number > 0 else b"\x0d" + _encode_float(number)
    if value is UNDEFINED:
        return b"\x01"
    if value is None:
        return b"\x03"
    if value is False:
        return b"\x0e"
    if value is True:
        return b"\x0f"
    if isinstance(value, int):
        return _encode_int(value)
    if isinstance(value, bytes):
        return b"\x11" + _escape(value) + b"\x00"
    if isinstance(value, list):
        return b"\x12" + b"".join(map(encode_sort_key, value)) + b"\x00"
    if isinstance(value, dict):
        return (
            b"\x15" + b"".join(_encode_field(name, value[name]) for name in sorted(value)) + b"\x00"
        )
    if value is COMMIT_TS:
        return _encode_int(INT64_MAX)
    raise AssertionError(f"not a value: {type(value).__name__}")


def compare_values(a: Value | UndefinedType, b: Value | UndefinedType) -> int:
    """-1, 0 or 1. Types never mix: `1` (Int64) sorts before `0.5`, and `-0.0` before `0.0`."""
    key_a, key_b = encode_sort_key(a), encode_sort_key(b)
    return (key_a > key_b) - (key_a < key_b)


def _escape(data: bytes) -> bytes:
    return data.replace(b"\x00", b"\x00\xff")


def _encode_float(value: float) -> bytes:
    bits = int.from_bytes(_pack_float(value), "big")
    ordered = bits ^ _ALL_BITS if bits & _SIGN_BIT else bits | _SIGN_BIT
    return ordered.to_bytes(8, "big")


def _encode_int(value: int) -> bytes:
    if value == 0:
        return b"\x08"
    for width, positive_tag, negative_tag in _INT_WIDTHS:
        half = 1 << (8 * width - 1)
        if -half <= value < half:
            tag = positive_tag if value > 0 else negative_tag
            return bytes((tag,)) + value.to_bytes(width, "big", signed=True)
    raise AssertionError(f"{value} is not an Int64")


def _encode_field(name: str, value: Value) -> bytes:
    # The empty name would look like the object's end, so its terminator is escaped.
    name_key = _escape(name.encode()) + b"\x00" if name else b"\x00\xff"
    return name_key + encode_sort_key(value)
