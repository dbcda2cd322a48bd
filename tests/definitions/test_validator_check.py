"""Which values match, and the exact error texts (database specification 5.3, 5.4)."""

import math

import pytest

from fenchel.definitions import check_validator, decode_validator
from fenchel.documents import encode_document_id

STRING = {"type": "string"}
NUMBER = {"type": "number"}
BIGINT = {"type": "bigint"}


class Tables:
    """Two user tables, files, and a private system table."""

    def table_name(self, table_number):
        return {10001: "users", 10002: "tasks", 540: "_storage", 513: "_tables"}.get(table_number)


def id_in(table_number):
    return encode_document_id(table_number, bytes(16))


def check(parsed, value):
    return check_validator(decode_validator(parsed), value, Tables())


def union(*members):
    return {"type": "union", "value": list(members)}


def obj(**fields):
    optional = {name: parsed.get("optional", False) for name, parsed in fields.items()}
    return {
        "type": "object",
        "value": {
            name: {"fieldType": parsed, "optional": optional[name]}
            for name, parsed in fields.items()
        },
    }


OPTIONAL_STRING = {**STRING, "optional": True}


@pytest.mark.parametrize(
    ("parsed", "value"),
    [
        ({"type": "null"}, None),
        (NUMBER, 1.0),
        (NUMBER, math.nan),
        (BIGINT, 1),
        ({"type": "commitTs"}, 1),
        ({"type": "boolean"}, False),
        (STRING, ""),
        ({"type": "bytes"}, b""),
        ({"type": "any"}, {"a": [1]}),
        ({"type": "id", "tableName": "users"}, id_in(10001)),
        ({"type": "id", "tableName": "_storage"}, id_in(540)),
        ({"type": "literal", "value": "a"}, "a"),
        ({"type": "literal", "value": 1}, 1.0),
        ({"type": "array", "value": STRING}, []),
        ({"type": "array", "value": STRING}, ["a"]),
        (
            {"type": "record", "keys": STRING, "values": {"fieldType": NUMBER, "optional": False}},
            {"any name": 1.0},
        ),
        (obj(a=STRING, b=OPTIONAL_STRING), {"a": "x"}),
        (obj(a=STRING, b=OPTIONAL_STRING), {"a": "x", "b": "y"}),
        (union(STRING, NUMBER), 1.0),
        (union(obj(kind=STRING), obj(other=STRING)), {"other": "x"}),
    ],
)
def test_values_that_match(parsed, value):
    assert check(parsed, value) is None


@pytest.mark.parametrize(
    ("parsed", "value"),
    [
        (NUMBER, 1),
        (BIGINT, 1.0),
        (BIGINT, True),
        (NUMBER, True),
        ({"type": "boolean"}, 1),
        ({"type": "null"}, "null"),
        (STRING, b"a"),
        ({"type": "literal", "value": 0}, -0.0),
        ({"type": "literal", "value": 1}, 1),
        ({"type": "literal", "value": True}, 1),
        ({"type": "id", "tableName": "users"}, id_in(10003)),
        ({"type": "id", "tableName": "users"}, "nonsense"),
        ({"type": "id", "tableName": "users"}, 1.0),
        ({"type": "array", "value": STRING}, {}),
        (obj(), []),
        (
            {"type": "record", "keys": STRING, "values": {"fieldType": NUMBER, "optional": False}},
            [],
        ),
        (union(), None),
    ],
)
def test_values_that_do_not_match(parsed, value):
    assert check(parsed, value) is not None


NAMES = {"type": "array", "value": obj(price=NUMBER)}


@pytest.mark.parametrize(
    ("parsed", "value", "text"),
    [
        (STRING, 1.0, "Value does not match validator.\n\nValue: 1.0\nValidator: v.string()"),
        (
            obj(items=NAMES),
            {"items": [{"price": 1.0}, {"price": "x"}]},
            "Value does not match validator.\nPath: .items[1].price\n"
            'Value: "x"\nValidator: v.float64()',
        ),
        (
            obj(a=STRING),
            {},
            "Object is missing the required field `a`. Consider wrapping the field validator in "
            "`v.optional(...)` if this is expected.\n\nObject: {}\n"
            "Validator: v.object({a: v.string()})",
        ),
        (
            obj(o=obj(a=OPTIONAL_STRING)),
            {"o": {"b": None, "c": 1}},
            "Object contains extra field `b` that is not in the validator.\nPath: .o\n"
            "Object: {b: null, c: 1}\nValidator: v.object({a: v.optional(v.string())})",
        ),
        (
            {"type": "literal", "value": "a"},
            "b",
            '`"b"` does not match literal validator `v.literal("a")`.',
        ),
        (
            obj(kind={"type": "literal", "value": {"$integer": "BQAAAAAAAAA="}}),
            {"kind": 4},
            "`4` does not match literal validator `v.literal(<bigint>)`.Path: .kind",
        ),
        (
            {"type": "id", "tableName": "users"},
            id_in(10002),
            f'Found ID "{id_in(10002)}" from table `tasks`, which does not match the table name '
            'in validator `v.id("users")`.',
        ),
        (
            obj(user={"type": "id", "tableName": "users"}),
            {"user": id_in(513)},
            f'Found ID "{id_in(513)}" from a system table, which does not match the table name '
            'in validator `v.id("users")`.Path: .user',
        ),
        (
            {"type": "record", "keys": STRING, "values": {"fieldType": NUMBER, "optional": False}},
            {"a": None},
            "Value does not match validator.\nPath: .values()\nValue: null\nValidator: v.float64()",
        ),
        (
            {
                "type": "record",
                "keys": {"type": "id", "tableName": "users"},
                "values": {"fieldType": NUMBER, "optional": False},
            },
            {"a": 1.0},
            'Value does not match validator.\nPath: .keys()\nValue: "a"\nValidator: v.id("users")',
        ),
        (
            union(STRING, NUMBER),
            None,
            "Value does not match validator.\n\nValue: null\n"
            "Validator: v.union(v.string(), v.float64())",
        ),
        (
            union(obj(a=STRING)),
            {"a": 1},
            "Value does not match validator.\nPath: .a\nValue: 1\nValidator: v.string()",
        ),
    ],
)
def test_the_texts(parsed, value, text):
    assert check(parsed, value) == text


def test_declared_fields_are_checked_before_undeclared_ones():
    assert "missing the required field `z`" in check(obj(z=STRING), {"a": 1})
