"""Ranges to intervals, and the errors of bad ranges (database specification 4.4)."""

from __future__ import annotations

import pytest

from fenchel.database.index_range import RangeExpression, compile_range
from fenchel.documents import Interval, after_prefix
from fenchel.errors import FenchelError
from fenchel.values import Value, encode_sort_key

FIELDS = (("a",), ("b", "c"), ("_creationTime",))


def expressions(*conditions: tuple[str, str, Value]) -> list[RangeExpression]:
    return [
        RangeExpression(operator=operator, path=tuple(path.split(".")), value=value)
        for path, operator, value in conditions
    ]


def compiled(*conditions: tuple[str, str, Value]) -> Interval:
    return compile_range("t.i", FIELDS, expressions(*conditions))


def test_equalities_may_be_written_in_any_order() -> None:
    prefix = encode_sort_key("x") + encode_sort_key(1.0)
    assert compiled(("b.c", "Eq", 1.0), ("a", "Eq", "x")) == Interval(prefix, after_prefix(prefix))


def test_bounds_include_or_exclude_all_keys_of_their_value() -> None:
    low, high = encode_sort_key(1.0), encode_sort_key(2.0)
    assert compiled(("a", "Gte", 1.0), ("a", "Lt", 2.0)) == Interval(low, high)
    assert compiled(("a", "Gt", 1.0), ("a", "Lte", 2.0)) == Interval(low + b"\xff", high + b"\xff")
    assert compiled() == Interval(b"", None)


def test_an_equality_on_text_excludes_longer_text() -> None:
    assert not compiled(("a", "Eq", "a")).contains(encode_sort_key("a\0b"))


@pytest.mark.parametrize(
    ("conditions", "code", "part"),
    [
        (
            [("a", "Eq", 1.0), ("a", "Eq", 2.0)],
            "AlreadyDefinedBound",
            'Already defined equality bound in index range. Can\'t add "a" == 2.0.',
        ),
        ([("a", "Gt", 1.0), ("a", "Gte", 2.0)], "AlreadyDefinedBound", "defined lower bound"),
        ([("a", "Lt", 1.0), ("a", "Lte", 2.0)], "AlreadyDefinedBound", "defined upper bound"),
        ([("a", "Lt", 1.0), ("a", "Eq", 2.0)], "AlreadyDefinedBound", "inequality bound"),
        ([("a", "Gt", 1.0), ("b.c", "Lt", 2.0)], "BoundsOnMultipleFields", '"a" and "b.c"'),
        (
            [("z", "Eq", 1.0)],
            "FieldNotInIndex",
            'with "z", but t.i with fields ["a", "b.c", "_creationTime"] doesn\'t index',
        ),
        (
            [("b.c", "Eq", 1.0)],
            "InvalidIndexRange",
            'Query fields: ["b.c"]\nFirst incorrect field: "b.c"',
        ),
        ([("a", "Eq", 1.0), ("_id", "Gt", "x")], "InvalidIndexRange", 'incorrect field: "_id"'),
    ],
)
def test_bad_ranges(conditions: list[tuple[str, str, Value]], code: str, part: str) -> None:
    with pytest.raises(FenchelError) as caught:
        compiled(*conditions)
    assert caught.value.code == code
    assert part in caught.value.message
