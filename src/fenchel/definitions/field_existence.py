"""Can a document of this type have this field? For indexes on typed tables (database specification
4.5).

One union member that can is enough; `any` and records can hold every field.
"""

from __future__ import annotations

from fenchel.definitions.validator import (
    ArrayValidator,
    ObjectValidator,
    RecordValidator,
    Scalar,
    UnionValidator,
    Validator,
)
from fenchel.documents import CREATION_TIME_PATH, ID_FIELD, FieldPath


def can_hold_field(validator: Validator, path: FieldPath) -> bool:
    """True if a value of this type can have something at `path`; system fields always exist."""
    return path in ((ID_FIELD,), CREATION_TIME_PATH) or bool(_types_at(validator, path))


def can_hold_vector(validator: Validator, path: FieldPath) -> bool:
    """True if a value of this type can have an array of float64 at `path`."""
    return any(map(_can_be_vector, _types_at(validator, path)))


def _types_at(validator: Validator, path: FieldPath) -> list[Validator]:
    """The types that values at `path` may have; empty if the path cannot exist."""
    if isinstance(validator, UnionValidator):
        return [found for member in validator.members for found in _types_at(member, path)]
    if not path:
        return [validator]
    match validator:
        case Scalar.ANY:
            return [Scalar.ANY]
        case RecordValidator(_, values):
            return _types_at(values, path[1:])
        case ObjectValidator(fields) if path[0] in fields:
            return _types_at(fields[path[0]].validator, path[1:])
        case _:
            return []


def _can_be_vector(validator: Validator) -> bool:
    if isinstance(validator, ArrayValidator):
        return any(
            element in (Scalar.NUMBER, Scalar.ANY) for element in _types_at(validator.element, ())
        )
    return validator is Scalar.ANY
