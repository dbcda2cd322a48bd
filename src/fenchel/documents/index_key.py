"""Keys of documents in database indexes (database specification 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from fenchel.documents.field_path import FieldPath, get_field
from fenchel.values import UNDEFINED, Value, encode_sort_key

# From a value and the sort key of its id, which is the same in all indexes, to the index key.
IndexKeyEncoder: TypeAlias = Callable[[Value, bytes], bytes]


def compile_index_key(field_paths: Sequence[FieldPath]) -> IndexKeyEncoder:
    """Sort keys of the indexed fields in order, then of the id as a string.

    `field_paths` holds all fields of the index, with the implicit last `_creationTime`; without
    any the value is not looked at.
    """
    if not field_paths:
        return _encode_id_only
    if any(len(path) > 1 for path in field_paths):
        return _compile_nested(tuple(field_paths))
    names = [path[0] for path in field_paths]

    def encode(value: Value, id_key: bytes) -> bytes:
        get = cast("dict[str, Any]", value).get
        return b"".join([encode_sort_key(get(name, UNDEFINED)) for name in names]) + id_key

    return encode


def encode_index_key(field_paths: Sequence[FieldPath], value: Value, id_text: str) -> bytes:
    """One key; `compile_index_key` is for many of one index."""
    return compile_index_key(field_paths)(value, encode_sort_key(id_text))


def _encode_id_only(_value: Value, id_key: bytes) -> bytes:
    return id_key


def _compile_nested(field_paths: Sequence[FieldPath]) -> IndexKeyEncoder:
    def encode(value: Value, id_key: bytes) -> bytes:
        keys = [encode_sort_key(get_field(value, path)) for path in field_paths]
        return b"".join((*keys, id_key))

    return encode
