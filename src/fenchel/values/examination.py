"""What a document has to be asked about its value, in one pass: limits, size, nesting, JSON form.

The hottest code of a write; see decision 0026.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import msgspec

from fenchel.values.value import (
    ARRAY_LENGTH_MAX,
    COMMIT_TS,
    OBJECT_FIELDS_MAX,
    VALUE_BYTES_MAX,
    VALUE_NESTING_MAX,
    Value,
    check_array_length,
    check_field_count,
    check_field_name,
    check_value_size,
    too_nested,
)

# Names that have passed `check_field_name`: applications use few, again and again. Long ones are
# not kept, and everything is forgotten when there are too many.
_GOOD_NAMES_MAX = 1 << 12
_GOOD_NAME_LENGTH_MAX = 64
_good_names: set[str] = set()


class Examined(msgspec.Struct, frozen=True, gc=False):
    """`nesting` counts levels of arrays and objects: 0 for a scalar, 1 for an empty array.

    `is_plain`: the JSON form has no `$` escape, so the value itself may be written as JSON.
    """

    size_bytes: int
    nesting: int
    is_plain: bool


def examine_value(value: Value) -> Examined:
    """Size, nesting and form of a value that keeps every limit.

    Raises: the bad requests of execution specification 4.2.
    """
    kind = type(value)
    is_container = kind is dict or kind is list
    found = _examine_container(value, 0) if is_container else _examine((value,), 0)
    examined = Examined(*found)
    if examined.size_bytes > VALUE_BYTES_MAX:
        check_value_size(examined.size_bytes, VALUE_BYTES_MAX)
    return examined


def _examine(items: Iterable[Value], level: int) -> tuple[int, int, bool]:
    """Sum of the sizes, deepest nesting and common form of what is inside of `level` others."""
    size_bytes, deepest, is_plain = 0, 0, True
    for item in items:
        kind = type(item)
        if kind is str:
            text = cast("str", item)
            size_bytes += 2 + (len(text) if text.isascii() else len(text.encode()))
        elif kind is float:
            size_bytes += 9
            number = cast("float", item)
            # All but zero, the infinities and NaN surely need no escape.
            if (number == 0 or number - number != 0) and is_special(number):
                is_plain = False
        elif kind is bool or item is None:
            size_bytes += 1
        elif kind is dict or kind is list:
            inner_bytes, nesting, is_inner_plain = _examine_container(item, level)
            size_bytes += inner_bytes
            deepest = max(deepest, nesting)
            is_plain = is_plain and is_inner_plain
        else:
            size_bytes += _escaped_size(item)
            is_plain = False
    return size_bytes, deepest, is_plain


def _examine_container(value: Value, level: int) -> tuple[int, int, bool]:
    """Of an array or an object with `level` others around it."""
    length = len(cast("list[Value]", value))
    if type(value) is list:
        if length > ARRAY_LENGTH_MAX:
            check_array_length(length)
        size_bytes, items = 2, cast("Iterable[Value]", value)
    else:
        fields = cast("dict[str, Value]", value)
        if length > OBJECT_FIELDS_MAX:
            check_field_count(length)
        if not _good_names.issuperset(fields):
            _check_names(fields)
        # Names are ASCII: as many bytes as characters, and one more.
        size_bytes, items = 2 + length + sum(map(len, fields)), fields.values()
    if level == VALUE_NESTING_MAX:
        raise too_nested(level + 1)
    items_bytes, nesting, is_plain = _examine(items, level + 1)
    return size_bytes + items_bytes, nesting + 1, is_plain


def _check_names(names: Iterable[str]) -> None:
    if len(_good_names) > _GOOD_NAMES_MAX:
        _good_names.clear()
    for name in names:
        check_field_name(name)
        if len(name) <= _GOOD_NAME_LENGTH_MAX:
            _good_names.add(name)


def _escaped_size(value: Value) -> int:
    """Of a scalar that JSON has no form for."""
    if type(value) is bytes:
        return 2 + len(value)
    assert type(value) is int or value is COMMIT_TS, f"not a value: {type(value).__name__}"
    return 9


def is_special(number: float) -> bool:
    """NaN, the infinities and -0.0. Finite numbers differ from themselves by zero."""
    return number - number != 0 or (number == 0 and math.copysign(1, number) < 0)
