"""JSON Schemas (draft 7) of the documents of a table, for connectors that make columns of them.

Of a table whose type the active schema enforces the schema says it; of others the first documents
do. Source: database specification 10.7, documentation "Streaming export API".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fenchel.definitions.validator import (
    ArrayValidator,
    IdValidator,
    LiteralValidator,
    ObjectValidator,
    RecordValidator,
    Scalar,
    UnionValidator,
    Validator,
)
from fenchel.documents import CREATION_TIME_FIELD, ID_FIELD
from fenchel.values import Value

JsonSchema = dict[str, Any]

_BASE64 = {"type": "string", "$description": "little-endian bytes in base64"}
_NUMBER: JsonSchema = {"type": "number"}
_ANY: JsonSchema = {}
# Schemas of the values that JSON has no form for, by whether the format keeps their type.
_INT64: dict[bool, JsonSchema] = {
    False: {"type": "string", "$description": "int64 represented as base10 string"},
    True: {"type": "object", "$description": "int64", "properties": {"$integer": _BASE64}},
}
_BYTES: dict[bool, JsonSchema] = {
    False: {"type": "string", "$description": "base64 bytes"},
    True: {
        "type": "object",
        "$description": "base64 bytes",
        "properties": {"$bytes": {"type": "string"}},
    },
}
_ANY_NUMBER: dict[bool, JsonSchema] = {
    False: {
        "$description": "float64",
        "anyOf": [_NUMBER, {"type": "string", "$description": "NaN, Infinity or -Infinity"}],
    },
    True: {
        "$description": "float64",
        "anyOf": [
            _NUMBER,
            {
                "type": "object",
                "$description": "NaN, an infinity or -0",
                "properties": {"$float": _BASE64},
            },
        ],
    },
}
_DELTA_FIELDS: JsonSchema = {
    "_component": {"type": "string"},
    "_table": {"type": "string"},
    "_ts": {"type": "integer"},
    "_deleted": {"type": "boolean"},
}

# The table that a text is an id of; None for other texts.
FindIdTable = Callable[[str], str | None]


class SchemaWriter:
    """`is_lossless`: values are described as `convex_encoded_json` has them, else as `json`."""

    def __init__(self, *, is_lossless: bool, find_id_table: FindIdTable) -> None:
        self._is_lossless = is_lossless
        self._find_id_table = find_id_table

    def describe_table(
        self,
        table: str,
        document_type: Validator | None,
        sample: Sequence[dict[str, Value]],
        *,
        is_sample_complete: bool,
    ) -> JsonSchema:
        """`sample`: the table's first documents. A type that says nothing is None."""
        described = (
            _merge_all(map(self._describe, sample))
            if document_type is None
            else self._describe_type(document_type, any(map(self._holds_special, sample)))
        )
        system = _object({ID_FIELD: _id_schema(table), CREATION_TIME_FIELD: _NUMBER})
        if described is None or "properties" not in described:
            # Documents of any kind, or none: these two all of them have.
            is_exact = described is None and is_sample_complete
            return {**system, "additionalProperties": not is_exact}
        is_exact = document_type is not None or is_sample_complete
        properties = {**described["properties"], **system["properties"]}
        return {
            **described,
            "properties": {name: properties[name] for name in sorted(properties)},
            "required": sorted({*described["required"], *system["required"]}),
            "additionalProperties": not is_exact,
        }

    def _describe(self, value: Value) -> JsonSchema:
        if isinstance(value, dict):
            return _object({name: self._describe(item) for name, item in value.items()})
        if isinstance(value, list):
            return {"type": "array", "items": _merge_all(map(self._describe, value)) or _ANY}
        if isinstance(value, str):
            table = self._find_id_table(value)
            return {"type": "string"} if table is None else _id_schema(table)
        if isinstance(value, bool):
            return {"type": "boolean"}
        if isinstance(value, float):
            return _ANY_NUMBER[self._is_lossless] if self._is_special(value) else _NUMBER
        if isinstance(value, int):
            return _INT64[self._is_lossless]
        if isinstance(value, bytes):
            return _BYTES[self._is_lossless]
        return {"type": "null"}

    def _holds_special(self, value: Value) -> bool:
        if isinstance(value, dict):
            return any(map(self._holds_special, value.values()))
        if isinstance(value, list):
            return any(map(self._holds_special, value))
        return isinstance(value, float) and self._is_special(value)

    def _is_special(self, number: float) -> bool:
        is_negative_zero = number == 0 and math.copysign(1, number) < 0
        return not math.isfinite(number) or (self._is_lossless and is_negative_zero)

    def _describe_type(self, validator: Validator, has_special: bool) -> JsonSchema:
        match validator:
            case Scalar():
                return self._describe_scalar(validator, has_special)
            case IdValidator(table_name):
                return _id_schema(table_name)
            case LiteralValidator(value):
                return self._describe(value)
            case ArrayValidator(element):
                return {"type": "array", "items": self._describe_type(element, has_special)}
            case RecordValidator(_, values):
                described = self._describe_type(values, has_special)
                return {"type": "object", "additionalProperties": described}
            case ObjectValidator(fields):
                optional = {name for name, field in fields.items() if field.is_optional}
                properties = {
                    name: self._describe_type(field.validator, has_special)
                    for name, field in fields.items()
                }
                return _object(properties, optional)
            case UnionValidator(members):
                described_members = (self._describe_type(member, has_special) for member in members)
                return _merge_all(described_members) or {"not": {}}

    def _describe_scalar(self, scalar: Scalar, has_special: bool) -> JsonSchema:
        match scalar:
            case Scalar.NUMBER:
                return _ANY_NUMBER[self._is_lossless] if has_special else _NUMBER
            case Scalar.BIGINT | Scalar.COMMIT_TS:
                return _INT64[self._is_lossless]
            case Scalar.BYTES:
                return _BYTES[self._is_lossless]
            case Scalar.ANY:
                return _ANY
            case Scalar.NULL | Scalar.BOOLEAN | Scalar.STRING:
                return {"type": scalar.value}


def finish_schema(schema: JsonSchema, *, has_delta_fields: bool) -> JsonSchema:
    """The schema as it stands for itself, with what the streams add to a document if wanted."""
    extra = _DELTA_FIELDS if has_delta_fields else {}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "properties": {**schema["properties"], **extra},
    }


def _id_schema(table: str) -> JsonSchema:
    return {"type": "string", "$description": f"Id({table})"}


def _object(properties: Mapping[str, JsonSchema], optional: Iterable[str] = ()) -> JsonSchema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": sorted(properties.keys() - set(optional)),
        "additionalProperties": False,
    }


def _merge_all(schemas: Iterable[JsonSchema]) -> JsonSchema | None:
    """A schema for whatever matches one of these; None without any."""
    merged: JsonSchema | None = None
    for schema in schemas:
        merged = schema if merged is None else _merge(merged, schema)
    return merged


def _merge(one: JsonSchema, other: JsonSchema) -> JsonSchema:
    if one == other:
        return one
    if not one or not other:
        return _ANY
    if "required" in one and "required" in other:
        return _merge_objects(one, other)
    if one.get("type") == other.get("type") == "array":
        return {"type": "array", "items": _merge(one["items"], other["items"])}
    return _union(one, other)


def _merge_objects(one: JsonSchema, other: JsonSchema) -> JsonSchema:
    mine, theirs = one["properties"], other["properties"]
    properties = {**mine, **theirs}
    for name in mine.keys() & theirs.keys():
        properties[name] = _merge(mine[name], theirs[name])
    required = set(one["required"]) & set(other["required"])
    return _object(properties, properties.keys() - required)


def _union(one: JsonSchema, other: JsonSchema) -> JsonSchema:
    """Either of two kinds. Members of one kind become one, and plain numbers are numbers too."""
    members: list[JsonSchema] = []
    for member in (*_members(one), *_members(other)):
        for place, known in enumerate(members):
            if known == member or _is_plain_number_of(member, known):
                break
            if _is_plain_number_of(known, member):
                members[place] = member
                break
            if _is_same_kind(known, member):
                members[place] = _merge(known, member)
                break
        else:
            members.append(member)
    return members[0] if len(members) == 1 else {"anyOf": members}


def _members(schema: JsonSchema) -> list[JsonSchema]:
    """The kinds of a union; a number that may be special is one kind, although it has two forms."""
    if "anyOf" in schema and "$description" not in schema:
        members: list[JsonSchema] = schema["anyOf"]
        return members
    return [schema]


def _is_plain_number_of(schema: JsonSchema, other: JsonSchema) -> bool:
    return schema == _NUMBER and other in _ANY_NUMBER.values()


def _is_same_kind(one: JsonSchema, other: JsonSchema) -> bool:
    is_array = one.get("type") == other.get("type") == "array"
    return is_array or ("required" in one and "required" in other)
