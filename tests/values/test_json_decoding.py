"""Value JSON (client-protocol specification 1.2, 1.4, 1.5)."""

import json
import math

import pytest
from hypothesis import given

from fenchel.errors import FenchelError
from fenchel.values import (
    UNDEFINED,
    decode_json,
    decode_optional_value,
    decode_patch,
    decode_value,
    encode_json,
    encode_sort_key,
)
from tests.values.strategies import values

VECTORS = [
    (5, '{"$integer":"BQAAAAAAAAA="}'),
    (-5, '{"$integer":"+/////////8="}'),
    (math.nan, '{"$float":"AAAAAAAA+H8="}'),
    (math.inf, '{"$float":"AAAAAAAA8H8="}'),
    (-math.inf, '{"$float":"AAAAAAAA8P8="}'),
    (-0.0, '{"$float":"AAAAAAAAAIA="}'),
    (b"\x01\x02\x03", '{"$bytes":"AQID"}'),
    (17.0, "17.0"),
    (1e21, "1e21"),
    ({"b": [None, True], "a": "é"}, '{"a":"é","b":[null,true]}'),
]


def error_of(text: str | bytes) -> FenchelError:
    with pytest.raises(FenchelError) as caught:
        decode_json(text)
    return caught.value


@pytest.mark.parametrize(("value", "text"), VECTORS)
def test_the_vectors_of_the_specification_both_ways(value, text):
    assert encode_json(value) == text
    assert encode_sort_key(decode_json(text)) == encode_sort_key(value)


@given(values())
def test_decoding_an_encoded_value_gives_the_value(value):
    assert encode_sort_key(decode_json(encode_json(value))) == encode_sort_key(value)


@given(values())
def test_texts_and_bytes_and_parsed_json_decode_alike(value):
    text = encode_json(value)
    expected = encode_sort_key(value)
    assert encode_sort_key(decode_json(text.encode())) == expected
    assert encode_sort_key(decode_value(json.loads(text))) == expected
    assert encode_sort_key(decode_json(json.dumps(json.loads(text)))) == expected


@pytest.mark.parametrize("text", ["17", '{"a":17}', '{"a\\u0062":[17]}'])
def test_a_plain_number_is_always_a_float(text):
    def only_floats(value):
        match value:
            case dict():
                return all(map(only_floats, value.values()))
            case list():
                return all(map(only_floats, value))
            case _:
                return type(value) is float

    assert only_floats(decode_json(text))


def test_an_integer_beyond_float_precision_is_rounded():
    assert decode_json("9007199254740993") == 9007199254740992.0


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '"\\ud800"',
        '"\\udc00x"',
        "1e400",
        "1" * 400,
        "",
        "{",
        '{"a":1} x',
        b'"\xed\xa0\x80"',
        b"\xff",
    ],
)
def test_text_that_is_not_json_is_refused(text):
    assert error_of(text).code == "InvalidJson"


@pytest.mark.parametrize(
    "text",
    [
        '{"$integer":"BQAA"}',
        '{"$integer":5}',
        '{"$integer":"BQAAAAAAAAA"}',
        '{"$integer":"!QAAAAAAAAA="}',
        '{"$float":"AAAAAAAA8D8="}',
        '{"$bytes":"é"}',
        '{"$set":[]}',
        '{"$map":[]}',
    ],
)
def test_a_bad_escape_is_refused(text):
    assert error_of(text).code == "InvalidConvexValue"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"$x":1}', "Field name $x starts with '$', which is reserved."),
        (
            '{"$integer":"BQAAAAAAAAA=","a":1}',
            "Field name $integer starts with '$', which is reserved.",
        ),
        ('{"$undefined":null}', "Field name $undefined starts with '$', which is reserved."),
        ('{"\\u0024x":1}', "Field name $x starts with '$', which is reserved."),
        (
            '{"é":1}',
            "Field name é has invalid character 'é': "
            "Field names can only contain non-control ASCII characters",
        ),
        (
            '{"a\x7f":1}',
            "Field name a\x7f has invalid character '\x7f': "
            "Field names can only contain non-control ASCII characters",
        ),
        (f'{{"{"a" * 1025}":1}}', "Field name is too long (1025 > maximum length 1024)"),
    ],
)
def test_a_bad_field_name_is_refused(text, message):
    error = error_of(text)
    assert (error.code, error.message) == ("InvalidFieldName", message)


def test_an_empty_field_name_and_one_of_1024_characters_are_fine():
    assert decode_json('{"":1}') == {"": 1.0}
    assert decode_json(f'{{"{"a" * 1024}":1}}') == {"a" * 1024: 1.0}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            json.dumps([0] * 8193),
            "ArrayTooLong",
            "Array length is too long (8193 > maximum length 8192)",
        ),
        (
            json.dumps({f"f{i}": 0 for i in range(1025)}),
            "TooManyFieldsError",
            "Object has too many fields (1025 > maximum number 1024)",
        ),
        (
            "[" * 65 + "]" * 65,
            "TooNestedError",
            "Value is too nested (nested 65 levels deep > maximum nesting 64)",
        ),
        ("[" * 100_000 + "]" * 100_000, "TooNestedError", "JSON is nested too deeply"),
    ],
)
def test_limits_hold_while_decoding(text, code, message):
    error = error_of(text)
    assert (error.code, error.message) == (code, message)


def test_values_at_the_limits_are_fine():
    for text in (
        json.dumps([0] * 8192),
        json.dumps({f"f{i}": 0 for i in range(1024)}),
        "[" * 64 + "]" * 64,
    ):
        decode_json(text)


def test_undefined_is_known_only_where_it_is_allowed():
    assert decode_optional_value({"$undefined": None}) is UNDEFINED
    assert decode_optional_value({"$integer": "BQAAAAAAAAA="}) == 5
    assert decode_patch({"a": {"$undefined": None}, "b": 1}) == {"a": UNDEFINED, "b": 1.0}
    with pytest.raises(FenchelError):
        decode_patch({"a": [{"$undefined": None}]})
    with pytest.raises(FenchelError):
        decode_patch([])
