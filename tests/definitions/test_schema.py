"""Document types and what schemas check (database specification 5.1, 5.3)."""

import json

import pytest

from fenchel.definitions import EMPTY_SCHEMA, decode_schema, decode_validator, render_validator
from fenchel.definitions.schema import is_document_type, strip_system_fields

STRING = {"type": "string"}


def obj(**fields):
    return {
        "type": "object",
        "value": {name: {"fieldType": f, "optional": False} for name, f in fields.items()},
    }


def union(*members):
    return {"type": "union", "value": list(members)}


def schema(document_type, *, validation=True):
    table = {"tableName": "t"} | ({"documentType": document_type} if document_type else {})
    return decode_schema(json.dumps({"tables": [table], "schemaValidation": validation}))


class NoTables:
    def table_name(self, table_number):
        return None


@pytest.mark.parametrize(
    ("parsed", "expected"),
    [
        ({"type": "any"}, True),
        (obj(), True),
        (union(obj(), union(obj(), {"type": "any"})), True),
        (STRING, False),
        (union(obj(), STRING), False),
        ({"type": "array", "value": obj()}, False),
    ],
)
def test_what_a_document_can_be(parsed, expected):
    assert is_document_type(decode_validator(parsed)) == expected


def test_system_fields_are_stripped_at_the_top_only():
    both = obj(_id={"type": "id", "tableName": "t"}, _creationTime={"type": "number"})
    nested = obj(a=both)
    stripped = strip_system_fields(decode_validator(union(both, nested)))
    assert render_validator(stripped) == (
        "v.union(v.object({}), "
        'v.object({a: v.object({_creationTime: v.float64(), _id: v.id("t")})}))'
    )
    assert strip_system_fields(decode_validator({"type": "any"})) == decode_validator(
        {"type": "any"}
    )


def test_documents_are_checked_without_their_system_fields():
    strict = schema(obj(a=STRING))
    good = {"_id": "x", "_creationTime": 1.0, "a": "x"}
    assert strict.check_document("t", good, NoTables()) is None
    text = strict.check_document("t", {**good, "a": 1.0}, NoTables())
    assert text.startswith("Value does not match validator.\nPath: .a\n")
    text = strict.check_document("t", {**good, "b": 1.0}, NoTables())
    assert 'Object: {a: "x", b: 1.0}' in text


def test_documents_of_other_tables_and_without_validation_pass():
    for loose, table in [
        (schema(obj(a=STRING)), "u"),
        (schema(obj(a=STRING), validation=False), "t"),
        (schema(None), "t"),
        (EMPTY_SCHEMA, "t"),
    ]:
        assert loose.check_document(table, {}, NoTables()) is None
