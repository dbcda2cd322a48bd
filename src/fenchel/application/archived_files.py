"""A stored file as archives list it: `_storage/documents.jsonl` (database specification 10.1)."""

from __future__ import annotations

import mimetypes
from base64 import b64encode

import msgspec

from fenchel.documents import Document
from fenchel.model import decode_stored_file

# What archives and imports call the files of a component.
STORAGE = "_storage"


class ArchivedFile(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """One line. `sha256` is base64 of 32 bytes, `size` is in bytes, `internal_id` the UUID in URLs.

    Only the id must be there: whoever takes a file out of an archive may edit the rest.
    """

    id: str = msgspec.field(name="_id")
    creation_time: float | None = msgspec.field(name="_creationTime", default=None)
    sha256: str | None = None
    size: int | None = None
    content_type: str | None = None
    internal_id: str | None = None

    @property
    def entry_name(self) -> str:
        """The name of its content in `_storage/`."""
        kind = (self.content_type or "").partition(";")[0].strip().lower()
        return f"{self.id}{mimetypes.guess_extension(kind) or ''}"


def describe_file(document: Document) -> ArchivedFile:
    """The line for a row of `_file_storage`."""
    row = decode_stored_file(document).row
    return ArchivedFile(
        id=document.id_text,
        creation_time=document.creation_time,
        sha256=b64encode(row.sha256).decode(),
        size=row.size,
        content_type=row.content_type,
        internal_id=row.storage_id,
    )
