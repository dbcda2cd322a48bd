"""The three JSON formats (database specification 10.2)."""

import json
import math

import pytest
from hypothesis import given

from fenchel.values import (
    canonical_json,
    decode_json,
    encode_clean_json,
    encode_export_json,
    encode_json,
)
from tests.values.strategies import values


@pytest.mark.parametrize(
    ("value", "clean", "export"),
    [
        (5, '"5"', "5"),
        (5.0, "5.0", "5.0"),
        (math.nan, '"NaN"', '{"$float":"AAAAAAAA+H8="}'),
        (math.inf, '"Infinity"', '{"$float":"AAAAAAAA8H8="}'),
        (-math.inf, '"-Infinity"', '{"$float":"AAAAAAAA8P8="}'),
        (-0.0, "-0.0", "-0.0"),
        (b"\x01\x02\x03", '"AQID"', '{"$bytes":"AQID"}'),
        (True, "true", "true"),
        ({"b": [None, 1], "a": "x"}, '{"a":"x","b":[null,"1"]}', '{"a":"x","b":[null,1]}'),
    ],
)
def test_clean_and_export_forms(value, clean, export):
    assert encode_clean_json(value) == clean
    assert encode_export_json(value) == export


def test_the_order_of_construction_does_not_show():
    assert encode_json({"b": 1.0, "a": {"d": 1.0, "c": 2.0}}) == encode_json(
        {"a": {"c": 2.0, "d": 1.0}, "b": 1.0}
    )


@given(values())
def test_no_bare_integer_is_ever_written(value):
    def refuse(text):
        raise AssertionError(text)

    json.loads(encode_json(value), parse_int=refuse, parse_constant=refuse)


@given(values())
def test_export_json_tells_integers_from_floats(value):
    parsed = json.loads(encode_export_json(value))
    if type(value) in (int, float) and math.isfinite(value):
        assert type(parsed) is type(value)


def test_an_integer_outside_of_64_bits_is_a_bug():
    with pytest.raises(AssertionError):
        encode_json(1 << 63)


@given(values())
def test_a_decoded_text_is_written_again_as_its_value_would_be(value):
    source = encode_json(value)
    assert canonical_json(decode_json(source), source) == source


def test_what_javascript_writes_as_an_integer_becomes_a_float():
    source = '{"b":[17,-2],"a":1e3}'
    assert canonical_json(decode_json(source), source) == '{"a":1000.0,"b":[17.0,-2.0]}'
