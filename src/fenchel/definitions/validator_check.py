"""Does a value match a validator, and what if not (database specification 5.3, 5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fenchel.definitions.validator import (
    ArrayValidator,
    IdValidator,
    LiteralValidator,
    ObjectValidator,
    RecordValidator,
    Scalar,
    UnionValidator,
    Validator,
    render_literal,
    render_validator,
)
from fenchel.documents import decode_document_id
from fenchel.errors import FenchelError
from fenchel.values import COMMIT_TS, Value, compare_values, render_value

_SCALAR_TYPES: dict[Scalar, type] = {
    Scalar.NULL: type(None),
    Scalar.NUMBER: float,
    Scalar.BIGINT: int,
    Scalar.COMMIT_TS: int,
    Scalar.BOOLEAN: bool,
    Scalar.STRING: str,
    Scalar.BYTES: bytes,
}
# A commit timestamp that is not known yet will be an Int64 (database specification 7.7).
_INT64_TYPES = (Scalar.BIGINT, Scalar.COMMIT_TS)


class TableNames(Protocol):
    """The tables of one namespace."""

    def table_name(self, table_number: int) -> str | None:
        """The name users know (`_storage` for files); None if there is no such table."""
        ...


@dataclass(frozen=True, slots=True)
class _Mismatch:
    """What is wrong at `path`. Worded only when it is shown: unions try many members in vain."""

    word: Callable[[str], str]
    path: str = ""

    def within(self, step: str) -> _Mismatch:
        return _Mismatch(self.word, step + self.path)

    def __str__(self) -> str:
        return self.word(f"Path: {self.path}" if self.path else "")


def check_validator(validator: Validator, value: Value, tables: TableNames) -> str | None:
    """None if `value` matches, else the detail text for the developer."""
    mismatch = _check(validator, value, tables)
    return None if mismatch is None else str(mismatch)


def _check(validator: Validator, value: Value, tables: TableNames) -> _Mismatch | None:
    match validator:
        case Scalar():
            # Exactly this type: True is no bigint.
            is_match = (
                type(value) is _SCALAR_TYPES.get(validator)
                or validator is Scalar.ANY
                or (value is COMMIT_TS and validator in _INT64_TYPES)
            )
            return None if is_match else _no_match(validator, value)
        case ObjectValidator():
            return _check_object(validator, value, tables)
        case IdValidator():
            return _check_id(validator, value, tables)
        case LiteralValidator():
            return _check_literal(validator, value)
        case ArrayValidator():
            return _check_array(validator, value, tables)
        case RecordValidator():
            return _check_record(validator, value, tables)
        case UnionValidator():
            return _check_union(validator, value, tables)


def _check_id(validator: IdValidator, value: Value, tables: TableNames) -> _Mismatch | None:
    """Only the table is compared, not whether the document exists."""
    found = _find_table(value, tables) if isinstance(value, str) else None
    if found is None:
        return _no_match(validator, value)
    if found == validator.table_name:
        return None
    origin = "a system table" if found.startswith("_") else f"table `{found}`"
    return _Mismatch(
        lambda context: (
            f"Found ID {render_value(value)} from {origin}, which does not match the table name "
            f"in validator `{render_validator(validator)}`.{context}"
        )
    )


def _find_table(id_text: str, tables: TableNames) -> str | None:
    try:
        document_id = decode_document_id(id_text)
    except FenchelError:
        return None
    return tables.table_name(document_id.table_number)


def _check_literal(validator: LiteralValidator, value: Value) -> _Mismatch | None:
    if compare_values(value, validator.value) == 0:
        return None
    return _Mismatch(
        lambda context: (
            f"`{render_value(value)}` does not match literal validator "
            f"`v.literal({render_literal(validator)})`.{context}"
        )
    )


def _check_array(validator: ArrayValidator, value: Value, tables: TableNames) -> _Mismatch | None:
    if not isinstance(value, list):
        return _no_match(validator, value)
    for position, item in enumerate(value):
        mismatch = _check(validator.element, item, tables)
        if mismatch is not None:
            return mismatch.within(f"[{position}]")
    return None


def _check_record(validator: RecordValidator, value: Value, tables: TableNames) -> _Mismatch | None:
    if not isinstance(value, dict):
        return _no_match(validator, value)
    for name in sorted(value):
        mismatch = _check(validator.keys, name, tables)
        if mismatch is not None:
            return mismatch.within(".keys()")
        mismatch = _check(validator.values, value[name], tables)
        if mismatch is not None:
            return mismatch.within(".values()")
    return None


def _check_object(validator: ObjectValidator, value: Value, tables: TableNames) -> _Mismatch | None:
    if not isinstance(value, dict):
        return _no_match(validator, value)
    for name, field in validator.fields.items():
        if name in value:
            mismatch = _check(field.validator, value[name], tables)
            if mismatch is not None:
                return mismatch.within(f".{name}")
        elif not field.is_optional:
            return _object_mismatch(
                f"Object is missing the required field `{name}`. Consider wrapping the field "
                "validator in `v.optional(...)` if this is expected.",
                validator,
                value,
            )
    if not value.keys() <= validator.fields.keys():
        name = min(name for name in value if name not in validator.fields)
        return _object_mismatch(
            f"Object contains extra field `{name}` that is not in the validator.",
            validator,
            value,
        )
    return None


def _check_union(validator: UnionValidator, value: Value, tables: TableNames) -> _Mismatch | None:
    if len(validator.members) == 1:
        return _check(validator.members[0], value, tables)
    if any(_check(member, value, tables) is None for member in validator.members):
        return None
    return _no_match(validator, value)


def _no_match(validator: Validator, value: Value) -> _Mismatch:
    return _Mismatch(
        lambda context: (
            f"Value does not match validator.\n{context}\n"
            f"Value: {render_value(value)}\nValidator: {render_validator(validator)}"
        )
    )


def _object_mismatch(problem: str, validator: ObjectValidator, value: Value) -> _Mismatch:
    return _Mismatch(
        lambda context: (
            f"{problem}\n{context}\n"
            f"Object: {render_value(value)}\nValidator: {render_validator(validator)}"
        )
    )
