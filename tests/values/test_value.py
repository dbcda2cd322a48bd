"""Sizes, nesting and limits of values (client-protocol specification 1.5)."""

import pytest
from hypothesis import given

from fenchel.errors import FenchelError
from fenchel.values import check_value, value_nesting, value_size
from tests.values.strategies import values


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [
        (None, 1),
        (True, 1),
        (1, 9),
        (1.0, 9),
        ("", 2),
        ("aé", 5),
        (b"abc", 5),
        ([], 2),
        ([1.0, None], 12),
        ({}, 2),
        ({"_id": "x" * 32}, 2 + 4 + 34),
        ({"_creationTime": 1.0}, 2 + 23),
    ],
)
def test_size(value, size_bytes):
    assert value_size(value) == size_bytes


@pytest.mark.parametrize(
    ("value", "levels"),
    [(1.0, 0), ([], 1), ({}, 1), ([[]], 2), ({"a": [{}], "b": 1.0}, 3), ([1.0, "x"], 1)],
)
def test_nesting(value, levels):
    assert value_nesting(value) == levels


@given(values())
def test_random_values_keep_the_limits(value):
    check_value(value)


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ([None] * 8193, "ArrayTooLong"),
        ({f"f{i}": None for i in range(1025)}, "TooManyFieldsError"),
        (nested(65), "TooNestedError"),
        ({"a": {"$b": 1.0}}, "InvalidFieldName"),
        ("x" * (1 << 25), "ValueTooLargeError"),
    ],
)
def test_a_value_over_a_limit_is_refused(value, code):
    with pytest.raises(FenchelError) as caught:
        check_value(value)
    assert caught.value.code == code


def test_a_value_at_the_nesting_limit_is_fine():
    check_value(nested(64))


def test_the_size_error_says_how_much_and_how_much_is_allowed():
    with pytest.raises(FenchelError) as caught:
        check_value(["x" * (1 << 24)] * 3)
    assert caught.value.message == "Value is too large (48 MiB > maximum size 32 MiB)"
