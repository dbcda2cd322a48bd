"""Validator JSON and its rendering (database specification 5.2, 5.4)."""

import pytest

from fenchel.definitions import decode_validator, render_validator
from fenchel.errors import FenchelError

STRING = {"type": "string"}


def field(validator, optional=False):
    return {"fieldType": validator, "optional": optional}


@pytest.mark.parametrize(
    ("parsed", "text"),
    [
        ({"type": "null"}, "v.null()"),
        ({"type": "number"}, "v.float64()"),
        ({"type": "bigint"}, "v.int64()"),
        ({"type": "commitTs"}, "v.commitTs()"),
        ({"type": "boolean"}, "v.boolean()"),
        (STRING, "v.string()"),
        ({"type": "bytes"}, "v.bytes()"),
        ({"type": "any"}, "v.any()"),
        ({"type": "map", "keys": STRING, "values": STRING}, "v.any()"),
        ({"type": "set", "value": STRING}, "v.any()"),
        ({"type": "id", "tableName": "_storage"}, 'v.id("_storage")'),
        ({"type": "literal", "value": 'a"b'}, 'v.literal("a\\"b")'),
        ({"type": "literal", "value": 2}, "v.literal(2.0)"),
        ({"type": "literal", "value": {"$float": "AAAAAAAA+H8="}}, "v.literal(<number>)"),
        ({"type": "literal", "value": True}, "v.literal(true)"),
        ({"type": "literal", "value": {"$integer": "BQAAAAAAAAA="}}, "v.literal(<bigint>)"),
        ({"type": "array", "value": STRING}, "v.array(v.string())"),
        (
            {"type": "record", "keys": {"type": "id", "tableName": "t"}, "values": field(STRING)},
            'v.record(v.id("t"), v.string())',
        ),
        (
            {"type": "object", "value": {"b": field(STRING, True), "a": field({"type": "any"})}},
            "v.object({a: v.any(), b: v.optional(v.string())})",
        ),
        ({"type": "object", "value": {}}, "v.object({})"),
        ({"type": "union", "value": [STRING, {"type": "null"}]}, "v.union(v.string(), v.null())"),
        ({"type": "union", "value": []}, "v.union()"),
    ],
)
def test_every_form_is_read_and_rendered(parsed, text):
    assert render_validator(decode_validator(parsed)) == text


def nested(levels):
    parsed = STRING
    for _ in range(levels):
        parsed = {"type": "array", "value": parsed}
    return parsed


@pytest.mark.parametrize(
    "parsed",
    [
        None,
        "string",
        {},
        {"type": 1},
        {"type": "strnig"},
        {"type": "id"},
        {"type": "id", "tableName": "a b"},
        {"type": "literal", "value": None},
        {"type": "literal", "value": [1]},
        {"type": "array"},
        {"type": "object", "value": []},
        {"type": "object", "value": {"a b": field(STRING)}},
        {"type": "object", "value": {"a": STRING}},
        {"type": "object", "value": {"a": {"fieldType": STRING, "optional": 1}}},
        {"type": "object", "value": {"a": None}},
        {"type": "union", "value": {}},
        nested(65),
    ],
)
def test_other_forms_are_refused(parsed):
    with pytest.raises(FenchelError) as caught:
        decode_validator(parsed)
    assert caught.value.code == "InvalidValidator"


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (STRING, field(STRING, True)),
        ({"type": "number"}, field(STRING)),
        ({"type": "literal", "value": "a"}, field(STRING)),
        ({"type": "union", "value": [STRING, {"type": "literal", "value": "a"}]}, field(STRING)),
    ],
)
def test_records_take_plain_string_keys_and_required_values(keys, values):
    with pytest.raises(FenchelError) as caught:
        decode_validator({"type": "record", "keys": keys, "values": values})
    assert caught.value.code == "InvalidRecordType"
