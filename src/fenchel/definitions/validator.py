"""Validators: the types of arguments, results and documents (database specification 5.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from fenchel.errors import FenchelError, bad_request
from fenchel.values import decode_value, is_identifier, render_string

# Deep enough for any value; a deeper validator could never match.
_NESTING_MAX = 64


class Scalar(Enum):
    """Validators without parts; the value is the word of the JSON form."""

    # Members are looked up for every field of every document, and Enum's own is no C function.
    __hash__ = object.__hash__

    NULL = "null"
    NUMBER = "number"
    BIGINT = "bigint"
    COMMIT_TS = "commitTs"
    BOOLEAN = "boolean"
    STRING = "string"
    BYTES = "bytes"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class IdValidator:
    table_name: str


@dataclass(frozen=True, slots=True)
class LiteralValidator:
    value: str | float | int | bool


@dataclass(frozen=True, slots=True)
class ArrayValidator:
    element: Validator


@dataclass(frozen=True, slots=True)
class RecordValidator:
    """`keys` is a string type without literals."""

    keys: Validator
    values: Validator


@dataclass(frozen=True, slots=True)
class FieldValidator:
    validator: Validator
    is_optional: bool


@dataclass(frozen=True, slots=True)
class ObjectValidator:
    """Ascending by field name."""

    fields: Mapping[str, FieldValidator]


@dataclass(frozen=True, slots=True)
class UnionValidator:
    """No members: nothing matches."""

    members: tuple[Validator, ...]


Validator: TypeAlias = (
    Scalar
    | IdValidator
    | LiteralValidator
    | ArrayValidator
    | RecordValidator
    | ObjectValidator
    | UnionValidator
)

_SCALARS = {scalar.value: scalar for scalar in Scalar} | {"map": Scalar.ANY, "set": Scalar.ANY}
_SCALAR_BUILDERS = {
    scalar: f"v.{name}()"
    for scalar, name in [
        (Scalar.NULL, "null"),
        (Scalar.NUMBER, "float64"),
        (Scalar.BIGINT, "int64"),
        (Scalar.COMMIT_TS, "commitTs"),
        (Scalar.BOOLEAN, "boolean"),
        (Scalar.STRING, "string"),
        (Scalar.BYTES, "bytes"),
        (Scalar.ANY, "any"),
    ]
}


def decode_validator(parsed: Any) -> Validator:
    """The validator of parsed JSON; unknown keys are ignored.

    Raises: InvalidValidator, InvalidRecordType.
    """
    return _decode(parsed, 0)


def referenced_tables(validator: Validator) -> frozenset[str]:
    """The tables whose ids the validator accepts anywhere inside."""
    match validator:
        case Scalar() | LiteralValidator():
            return frozenset()
        case IdValidator(table_name):
            return frozenset({table_name})
        case ArrayValidator(element):
            return referenced_tables(element)
        case RecordValidator(keys, values):
            return referenced_tables(keys) | referenced_tables(values)
        case ObjectValidator(fields):
            found = (referenced_tables(field.validator) for field in fields.values())
            return frozenset().union(*found)
        case UnionValidator(members):
            return frozenset().union(*map(referenced_tables, members))


def optional_fields(validator: Validator) -> frozenset[str]:
    """The top-level fields that an object of this type may lack."""
    match validator:
        case ObjectValidator(fields):
            return frozenset(name for name, field in fields.items() if field.is_optional)
        case UnionValidator(members):
            return frozenset().union(*map(optional_fields, members))
        case _:
            return frozenset()


def render_validator(validator: Validator) -> str:
    """The builder expression that error messages show (database specification 5.4)."""
    match validator:
        case Scalar():
            return _SCALAR_BUILDERS[validator]
        case IdValidator(table_name):
            return f'v.id("{table_name}")'
        case LiteralValidator():
            return f"v.literal({render_literal(validator)})"
        case ArrayValidator(element):
            return f"v.array({render_validator(element)})"
        case RecordValidator(keys, values):
            return f"v.record({render_validator(keys)}, {render_validator(values)})"
        case ObjectValidator(fields):
            items = (f"{name}: {_render_field(field)}" for name, field in fields.items())
            return f"v.object({{{', '.join(items)}}})"
        case UnionValidator(members):
            return f"v.union({', '.join(map(render_validator, members))})"


def render_literal(validator: LiteralValidator) -> str:
    """What stands inside `v.literal(…)`; numbers without a JSON form show only their type."""
    value = validator.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return "<bigint>"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "<number>"
    return render_string(value)


def _render_field(field: FieldValidator) -> str:
    text = render_validator(field.validator)
    return f"v.optional({text})" if field.is_optional else text


def _decode(parsed: Any, level: int) -> Validator:
    if level > _NESTING_MAX:
        raise _invalid("it is nested too deeply")
    if not isinstance(parsed, dict) or not isinstance(parsed.get("type"), str):
        raise _invalid("expected an object with a `type`")
    kind = parsed["type"]
    if kind in _SCALARS:
        return _SCALARS[kind]
    match kind:
        case "id":
            return _decode_id(parsed)
        case "literal":
            return _decode_literal(parsed)
        case "array":
            return ArrayValidator(_decode(parsed.get("value"), level + 1))
        case "record":
            return _decode_record(parsed, level)
        case "object":
            return _decode_object(parsed, level)
        case "union":
            return _decode_union(parsed, level)
        case _:
            raise _invalid(f"unknown type {kind!r}")


def _decode_id(parsed: dict[str, Any]) -> Validator:
    table_name = parsed.get("tableName")
    if not isinstance(table_name, str) or not is_identifier(table_name):
        raise _invalid("an id needs a valid `tableName`")
    return IdValidator(table_name)


def _decode_literal(parsed: dict[str, Any]) -> Validator:
    value = decode_value(parsed.get("value"))
    if not isinstance(value, str | float | int):
        raise _invalid("a literal must be a string, number, bigint or boolean")
    return LiteralValidator(value)


def _decode_record(parsed: dict[str, Any], level: int) -> Validator:
    keys = _decode(parsed.get("keys"), level + 1)
    values = _decode_field(parsed.get("values"), level)
    if values.is_optional:
        raise bad_request(
            "InvalidRecordType", "Records can't have optional values: use `v.record(keys, values)`."
        )
    if not _is_record_key(keys):
        raise bad_request(
            "InvalidRecordType",
            f"Record keys must be strings or ids without literals, not {render_validator(keys)}.",
        )
    return RecordValidator(keys, values.validator)


def _is_record_key(validator: Validator) -> bool:
    match validator:
        case UnionValidator(members):
            return all(map(_is_record_key, members))
        case _:
            return validator is Scalar.STRING or isinstance(validator, IdValidator)


def _decode_object(parsed: dict[str, Any], level: int) -> Validator:
    fields = parsed.get("value")
    if not isinstance(fields, dict):
        raise _invalid("an object needs its fields in `value`")
    for name in fields:
        if not is_identifier(name):
            raise _invalid(f"{name!r} is not a valid field name: it must be an identifier")
    return ObjectValidator({name: _decode_field(fields[name], level) for name in sorted(fields)})


def _decode_field(parsed: Any, level: int) -> FieldValidator:
    if not isinstance(parsed, dict) or not isinstance(parsed.get("optional", False), bool):
        raise _invalid("expected an object with `fieldType` and `optional`")
    return FieldValidator(
        _decode(parsed.get("fieldType"), level + 1), parsed.get("optional", False)
    )


def _decode_union(parsed: dict[str, Any], level: int) -> Validator:
    members = parsed.get("value")
    if not isinstance(members, list):
        raise _invalid("a union needs its members in `value`")
    return UnionValidator(tuple(_decode(member, level + 1) for member in members))


def _invalid(reason: str) -> FenchelError:
    return bad_request("InvalidValidator", f"Not a valid validator: {reason}.")
