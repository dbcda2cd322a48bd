from __future__ import annotations

import math

import pytest
from hypothesis import given

from fenchel.errors import FenchelError
from fenchel.values import (
    INT64_MAX,
    INT64_MIN,
    Value,
    compare_values,
    convert_to_export_json,
    decode_export_json,
    decode_plain_json,
    encode_export_json,
    encode_json,
)
from tests.values.strategies import values


@given(values())
def test_every_value_comes_back_from_its_export(value: Value) -> None:
    assert compare_values(decode_export_json(encode_export_json(value)), value) == 0


@given(values())
def test_stored_text_becomes_export_text(value: Value) -> None:
    assert convert_to_export_json(encode_json(value)) == encode_export_json(value)


def test_a_string_that_looks_like_an_escape_stays_a_string() -> None:
    value: Value = {"text": '{"$integer":"BQAAAAAAAAA="}'}
    text = convert_to_export_json(encode_json(value))
    assert decode_export_json(text) == value


@pytest.mark.parametrize(
    ("text", "kind"), [("5", int), ("5.0", float), ("5e0", float), ("-0.0", float)]
)
def test_the_spelling_tells_int64_from_float64(text: str, kind: type) -> None:
    assert type(decode_export_json(text)) is kind


def test_negative_zero_keeps_its_sign() -> None:
    value = decode_export_json("-0.0")
    assert isinstance(value, float)
    assert math.copysign(1, value) == -1


@pytest.mark.parametrize("number", [INT64_MIN, INT64_MAX])
def test_the_ends_of_int64_fit(number: int) -> None:
    assert decode_export_json(str(number)) == number


@pytest.mark.parametrize("number", [INT64_MIN - 1, INT64_MAX + 1, 10**30])
def test_larger_integers_are_refused(number: int) -> None:
    with pytest.raises(FenchelError) as caught:
        decode_export_json(str(number))
    assert caught.value.code in ("InvalidConvexValue", "InvalidJson")


@pytest.mark.parametrize("text", ["5", "5.0", "[5]", '{"a": 5}', '{"a": 5, "b": "$"}'])
def test_plain_numbers_are_floats(text: str) -> None:
    value = decode_plain_json(text)
    while isinstance(value, list | dict):
        value = value[0] if isinstance(value, list) else value["a"]
    assert type(value) is float


@pytest.mark.parametrize("text", ['{"$integer":"BQAAAAAAAAA="}', '{"a":{"$bytes":""}}'])
def test_plain_json_has_no_escapes(text: str) -> None:
    with pytest.raises(FenchelError) as caught:
        decode_plain_json(text)
    assert caught.value.code == "InvalidFieldName"


def test_field_names_of_exports_obey_the_rules() -> None:
    with pytest.raises(FenchelError, match="starts with '\\$'"):
        decode_export_json('{"$a": 1, "b": 2}')
