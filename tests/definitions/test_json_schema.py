"""JSON Schemas of documents: what connectors make columns of (database specification 10.7)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.definitions import SchemaWriter, check_validator, decode_validator, finish_schema
from fenchel.values import Value, encode_clean_json, encode_json
from tests.values.strategies import values

USER_ID = "j57000820c20a1g7104gm2rc1m70ynr8"
SYSTEM: dict[str, Value] = {"_id": USER_ID, "_creationTime": 1.5}


def find_id_table(text: str) -> str | None:
    return "users" if text == USER_ID else None


def describe(
    *sample: dict[str, Value],
    document_type: Any = None,
    is_complete: bool = True,
    is_lossless: bool = False,
) -> dict[str, Any]:
    writer = SchemaWriter(is_lossless=is_lossless, find_id_table=find_id_table)
    return writer.describe_table(
        "users",
        None if document_type is None else decode_validator(document_type),
        [{**SYSTEM, **document} for document in sample],
        is_sample_complete=is_complete,
    )


def matches(schema: dict[str, Any], parsed: Any) -> bool:
    """The part of JSON Schema that is used here."""
    if "anyOf" in schema:
        return any(matches(member, parsed) for member in schema["anyOf"])
    if "not" in schema:
        return False
    kinds: dict[str, Any] = {
        "null": type(None),
        "boolean": bool,
        "number": float,
        "string": str,
        "array": list,
        "object": dict,
    }
    if "type" in schema and not isinstance(parsed, kinds[schema["type"]]):
        return False
    if isinstance(parsed, list):
        return all(matches(schema.get("items", {}), item) for item in parsed)
    return not isinstance(parsed, dict) or _matches_object(schema, parsed)


def _matches_object(schema: dict[str, Any], parsed: dict[str, Any]) -> bool:
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in parsed.items():
        if name in properties:
            if not matches(properties[name], item):
                return False
        elif more is False or (isinstance(more, dict) and not matches(more, item)):
            return False
    return set(schema.get("required", ())) <= parsed.keys()


@pytest.mark.parametrize("is_lossless", [False, True])
@settings(max_examples=40, deadline=None)
@given(sample=st.lists(st.dictionaries(st.sampled_from("abc"), values(), max_size=3), max_size=4))
def test_every_document_of_the_sample_matches(
    is_lossless: bool, sample: list[dict[str, Value]]
) -> None:
    encode = encode_json if is_lossless else encode_clean_json
    schema = describe(*sample, is_lossless=is_lossless)
    for document in sample:
        assert matches(schema, json.loads(encode({**SYSTEM, **document})))


def test_fields_are_merged() -> None:
    schema = describe(
        {"a": 1.0, "b": [1.0], "c": {"x": True}},
        {"a": "s", "b": ["s", 2.0], "c": {"y": None}},
        {"a": 2.0, "b": []},
    )
    number, text = {"type": "number"}, {"type": "string"}
    assert schema["properties"]["a"] == {"anyOf": [number, text]}
    assert schema["required"] == ["_creationTime", "_id", "a", "b"]
    assert schema["properties"]["c"]["properties"] == {
        "x": {"type": "boolean"},
        "y": {"type": "null"},
    }
    assert schema["properties"]["c"]["required"] == []


def test_ids_name_their_table() -> None:
    schema = describe({"author": USER_ID, "text": "x"})
    described = {"type": "string", "$description": "Id(users)"}
    assert schema["properties"]["author"] == described
    assert schema["properties"]["_id"] == described
    assert schema["properties"]["text"] == {"type": "string"}


def test_numbers_are_plain_unless_one_is_not() -> None:
    assert describe({"n": 1.0})["properties"]["n"] == {"type": "number"}
    special = describe({"n": 1.0}, {"n": math.nan})["properties"]["n"]
    assert special["anyOf"][0] == {"type": "number"}
    assert special == describe({"n": math.inf}, {"n": 2.0})["properties"]["n"]
    assert describe({"n": -0.0})["properties"]["n"] == {"type": "number"}
    assert "anyOf" in describe({"n": -0.0}, is_lossless=True)["properties"]["n"]


def test_a_table_without_documents_has_its_system_fields() -> None:
    schema = describe()
    assert list(schema["properties"]) == ["_id", "_creationTime"]
    assert schema["additionalProperties"] is False


def test_an_incomplete_sample_leaves_room_for_more_fields() -> None:
    assert describe({"n": 1.0}, is_complete=False)["additionalProperties"] is True
    assert describe({"n": 1.0})["additionalProperties"] is False


def test_an_enforced_type_counts_more_than_the_sample() -> None:
    string, number = {"type": "string"}, {"type": "number"}
    fields = {
        "text": {"fieldType": string, "optional": True},
        "kind": {"fieldType": {"type": "literal", "value": "a"}, "optional": False},
        "tags": {"fieldType": {"type": "array", "value": string}, "optional": False},
        "counts": {
            "fieldType": {"type": "record", "keys": string, "values": {"fieldType": number}},
            "optional": False,
        },
        "big": {"fieldType": {"type": "bigint"}, "optional": False},
    }
    schema = describe(
        document_type={"type": "object", "value": fields}, is_complete=False, is_lossless=True
    )
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["_creationTime", "_id", "big", "counts", "kind", "tags"]
    described = schema["properties"]
    assert described["tags"] == {"type": "array", "items": string}
    assert described["counts"] == {"type": "object", "additionalProperties": number}
    assert described["big"]["properties"].keys() == {"$integer"}
    assert described["kind"] == string


def test_a_union_of_objects_has_the_fields_of_all() -> None:
    members = [
        {"type": "object", "value": {"a": {"fieldType": {"type": "string"}, "optional": False}}},
        {"type": "object", "value": {"b": {"fieldType": {"type": "string"}, "optional": False}}},
    ]
    schema = describe(document_type={"type": "union", "value": members})
    assert set(schema["properties"]) == {"_id", "_creationTime", "a", "b"}
    assert schema["required"] == ["_creationTime", "_id"]


def test_any_document_may_have_more_than_the_system_fields() -> None:
    schema = describe({"n": 1.0}, document_type={"type": "any"})
    assert list(schema["properties"]) == ["_id", "_creationTime"]
    assert schema["additionalProperties"] is True


@given(value=values())
def test_what_an_enforced_type_accepts_matches(value: Value) -> None:
    optional = {"fieldType": {"type": "number"}, "optional": True}
    document_type = {
        "type": "object",
        "value": {
            "v": {
                "fieldType": {
                    "type": "union",
                    "value": [
                        {"type": "number"},
                        {"type": "bytes"},
                        {"type": "null"},
                        {"type": "array", "value": {"type": "any"}},
                        {"type": "object", "value": {"a": optional}},
                    ],
                },
                "optional": False,
            }
        },
    }

    class NoTables:
        def table_name(self, table_number: int) -> None:
            return None

    if check_validator(decode_validator(document_type), {"v": value}, NoTables()) is None:
        schema = describe({"v": value}, document_type=document_type)
        assert matches(schema, json.loads(encode_clean_json({**SYSTEM, "v": value})))


def test_what_the_streams_add_is_described_when_wanted() -> None:
    schema = describe({"n": 1.0})
    finished = finish_schema(schema, has_delta_fields=True)
    assert finished["$schema"] == "http://json-schema.org/draft-07/schema#"
    added = finished["properties"].keys() - schema["properties"].keys()
    assert added == {"_component", "_table", "_ts", "_deleted"}
    assert finish_schema(schema, has_delta_fields=False)["properties"] == schema["properties"]
