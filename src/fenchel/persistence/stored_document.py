"""From the columns of a stored revision back to a document."""

from __future__ import annotations

from typing import Final

import msgspec

from fenchel.documents import Document, InternalId, TabletId


class _Identified(msgspec.Struct):
    """The one field that a revision's row does not have in a column of its own."""

    id_text: str = msgspec.field(name="_id")


_decoder: Final = msgspec.json.Decoder(_Identified)


def decode_stored_document(
    tablet_id: bytes,
    internal_id: bytes,
    value_json: str | None,
    size_bytes: int | None,
    creation_time: float | None,
) -> Document | None:
    """The document; None for a tombstone, or for a revision that is not stored."""
    if value_json is None:
        return None
    assert size_bytes is not None
    assert creation_time is not None
    return Document(
        tablet_id=TabletId(tablet_id),
        internal_id=InternalId(internal_id),
        id_text=_decoder.decode(value_json).id_text,
        creation_time=creation_time,
        value_json=value_json,
        size_bytes=size_bytes,
    )
