"""Keys of documents in database indexes (database specification 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from fenchel.documents.field_path import FieldPath, get_field
from fenchel.values import Value, encode_sort_key


def encode_index_key(field_paths: Sequence[FieldPath], value: Value, id_text: str) -> bytes:
    """Sort keys of the indexed fields in order, then of the id as a string.

    `field_paths` holds all fields of the index, with the implicit last `_creationTime`.
    """
    if not field_paths:
        return encode_sort_key(id_text)
    keys = [encode_sort_key(get_field(value, path)) for path in field_paths]
    return b"".join((*keys, encode_sort_key(id_text)))
