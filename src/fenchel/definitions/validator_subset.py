"""Whether one validator accepts nothing that another refuses: then old documents need no new check.

False negatives are allowed, they only cost a walk. Source: database specification 5.7.
"""

from __future__ import annotations

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
from fenchel.values import compare_values

_BOTH_BOOLEANS = UnionValidator((LiteralValidator(False), LiteralValidator(True)))
_INT64 = (Scalar.BIGINT, Scalar.COMMIT_TS)


def is_subset(narrow: Validator, wide: Validator) -> bool:
    """True only if every value that matches `narrow` matches `wide`."""
    match narrow, wide:
        case _, Scalar.ANY:
            return True
        case UnionValidator(members), _:
            return all(is_subset(member, wide) for member in members)
        case Scalar.BOOLEAN, UnionValidator():
            return _is_in_member(narrow, wide) or is_subset(_BOTH_BOOLEANS, wide)
        case _, UnionValidator():
            return _is_in_member(narrow, wide)
        case LiteralValidator(value), LiteralValidator(wide_value):
            # Not `==`, to which 1, 1.0 and True are the same.
            return compare_values(value, wide_value) == 0
        case LiteralValidator(value), Scalar():
            return wide in _scalars_of(value)
        case IdValidator(table_name), IdValidator(wide_name):
            return table_name == wide_name
        case IdValidator(), Scalar():
            return wide is Scalar.STRING
        case Scalar(), Scalar():
            return narrow is wide or (narrow in _INT64 and wide in _INT64)
        case ArrayValidator(element), ArrayValidator(wide_element):
            return is_subset(element, wide_element)
        case RecordValidator(keys, values), RecordValidator(wide_keys, wide_values):
            return is_subset(keys, wide_keys) and is_subset(values, wide_values)
        case ObjectValidator(), ObjectValidator():
            return _is_object_subset(narrow, wide)
        case _:
            return False


def _is_in_member(narrow: Validator, wide: UnionValidator) -> bool:
    return any(is_subset(narrow, member) for member in wide.members)


def _is_object_subset(narrow: ObjectValidator, wide: ObjectValidator) -> bool:
    """No field is removed, none that may be missing is required, new ones may be missing."""
    if not narrow.fields.keys() <= wide.fields.keys():
        return False
    for name, wide_field in wide.fields.items():
        field = narrow.fields.get(name)
        if field is None:
            if not wide_field.is_optional:
                return False
        elif (field.is_optional and not wide_field.is_optional) or not is_subset(
            field.validator, wide_field.validator
        ):
            return False
    return True


def _scalars_of(value: str | float | int | bool) -> tuple[Scalar, ...]:
    if isinstance(value, bool):
        return (Scalar.BOOLEAN,)
    if isinstance(value, int):
        return _INT64
    return (Scalar.NUMBER,) if isinstance(value, float) else (Scalar.STRING,)
