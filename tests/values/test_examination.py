"""One look at a value: limits, size, nesting, form (execution specification 4.2)."""

import pytest
from hypothesis import given

from fenchel.errors import FenchelError
from fenchel.values import encode_json, examine_value, value_size
from tests.values.strategies import values


@pytest.mark.parametrize(
    ("value", "levels"),
    [(1.0, 0), ([], 1), ({}, 1), ([[]], 2), ({"a": [{}], "b": 1.0}, 3), ([1.0, "x"], 1)],
)
def test_nesting(value, levels):
    assert examine_value(value).nesting == levels


@given(values())
def test_random_values_keep_the_limits_and_are_as_large_as_they_are(value):
    assert examine_value(value).size_bytes == value_size(value)


@given(values())
def test_a_plain_value_is_its_own_json_form(value):
    examined = examine_value(value)
    assert examined.is_plain == ('{"$' not in encode_json(value))
    assert encode_json(value, is_plain=examined.is_plain) == encode_json(value)


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
        examine_value(value)
    assert caught.value.code == code


def test_a_value_at_the_nesting_limit_is_fine():
    examine_value(nested(64))


def test_the_size_error_says_how_much_and_how_much_is_allowed():
    with pytest.raises(FenchelError) as caught:
        examine_value(["x" * (1 << 24)] * 3)
    assert caught.value.message == "Value is too large (48 MiB > maximum size 32 MiB)"
