"""Paths to fields of documents, as indexes and queries name them (database specification 4.3)."""

from __future__ import annotations

from typing import TypeAlias

from fenchel.errors import bad_request
from fenchel.values import UNDEFINED, UndefinedType, Value, is_identifier

FieldPath: TypeAlias = tuple[str, ...]

ID_FIELD = "_id"
CREATION_TIME_FIELD = "_creationTime"
CREATION_TIME_PATH: FieldPath = (CREATION_TIME_FIELD,)


def decode_field_path(text: str) -> FieldPath:
    """`a.b.c`: identifiers joined by dots. Raises: InvalidFieldPath."""
    path = tuple(text.split("."))
    if not all(map(is_identifier, path)):
        raise bad_request("InvalidFieldPath", f"Invalid field path: {text!r}")
    return path


def encode_field_path(path: FieldPath) -> str:
    """The text that `decode_field_path` reads."""
    return ".".join(path)


def get_field(value: Value, path: FieldPath) -> Value | UndefinedType:
    """What stands at `path`; `UNDEFINED` if a step is missing or not an object."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return UNDEFINED
        value = value[name]
    return value
