"""Fields that a typed document can have (database specification 4.5)."""

import json

import pytest

from fenchel.definitions import decode_schema, decode_validator
from fenchel.definitions.field_existence import can_hold_field, can_hold_vector
from fenchel.errors import FenchelError

NUMBER = {"type": "number"}
VECTOR = {"type": "array", "value": NUMBER}


def obj(**fields):
    return {
        "type": "object",
        "value": {name: {"fieldType": f, "optional": True} for name, f in fields.items()},
    }


def union(*members):
    return {"type": "union", "value": list(members)}


def record(values):
    return {
        "type": "record",
        "keys": {"type": "string"},
        "values": {"fieldType": values, "optional": False},
    }


@pytest.mark.parametrize(
    ("parsed", "path", "expected"),
    [
        (obj(a=NUMBER), "a", True),
        (obj(a=NUMBER), "b", False),
        (obj(a=NUMBER), "a.b", False),
        (obj(a=obj(b=NUMBER)), "a.b", True),
        (obj(a={"type": "any"}), "a.b.c", True),
        (obj(a=record(obj(x=NUMBER))), "a.b.x", True),
        (obj(a=record(NUMBER)), "a.b.x", False),
        (union(obj(a=NUMBER), obj(b=NUMBER)), "b", True),
        (obj(a=union(NUMBER, obj(b=NUMBER))), "a.b", True),
        (obj(a=VECTOR), "a.b", False),
        (obj(), "_creationTime", True),
        (obj(), "_id", True),
    ],
)
def test_fields(parsed, path, expected):
    assert can_hold_field(decode_validator(parsed), tuple(path.split("."))) == expected


@pytest.mark.parametrize(
    ("parsed", "expected"),
    [
        (VECTOR, True),
        ({"type": "any"}, True),
        (union({"type": "null"}, VECTOR), True),
        ({"type": "array", "value": union({"type": "null"}, NUMBER)}, True),
        ({"type": "array", "value": {"type": "bigint"}}, False),
        (NUMBER, False),
    ],
)
def test_vectors(parsed, expected):
    validator = decode_validator(obj(v=parsed))
    assert can_hold_vector(validator, ("v",)) == expected


def test_a_vector_index_on_another_type_is_a_definition_error():
    index = {"indexDescriptor": "i", "vectorField": "v", "dimensions": 4, "filterFields": []}
    table = {"tableName": "t", "vectorIndexes": [index], "documentType": obj(v=NUMBER)}
    with pytest.raises(FenchelError) as caught:
        decode_schema(json.dumps({"tables": [table], "schemaValidation": True}))
    assert "cannot hold an array of float64" in caught.value.message
    decode_schema(json.dumps({"tables": [table], "schemaValidation": False}))
