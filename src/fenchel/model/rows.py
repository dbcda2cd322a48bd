"""Typed rows of system tables: a struct per table, converted from and to document values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from fenchel.documents import Document
from fenchel.values import Value, decode_json

Row = TypeVar("Row", bound=msgspec.Struct)


def decode_row(document: Document, row_type: type[Row]) -> Row:
    """The row in a document; system fields that the type does not name are left out."""
    return msgspec.convert(document.value, row_type)


def decode_stable_row(document: Document, row_type: type[Row]) -> Row:
    """As `decode_row`, remembering recent answers: for small tables that every execution reads."""
    row = _decode_text(document.value_json, row_type)
    assert isinstance(row, row_type)
    return row


def encode_row(row: msgspec.Struct) -> dict[str, Value]:
    """The document value of a row, without system fields."""
    value: dict[str, Value] = msgspec.to_builtins(row, builtin_types=(bytes,))
    return value


@lru_cache(maxsize=4_096)
def _decode_text(value_json: str, row_type: type[msgspec.Struct]) -> Any:
    return msgspec.convert(decode_json(value_json), row_type)
