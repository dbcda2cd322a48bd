"""`_file_storage`: the files of users, one row each (execution 2.9). Their bytes lie in a file
storage under `storage_key`; several rows may share it.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from uuid import UUID

import msgspec

from fenchel.database import (
    ROOT,
    Namespace,
    SystemTables,
    Transaction,
    VirtualTable,
    is_in_any_table,
)
from fenchel.documents import Document
from fenchel.errors import bad_request
from fenchel.model.rows import decode_row, encode_row
from fenchel.values import Value

FILE_STORAGE_TABLE = "_file_storage"


class StoredFileRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """`storage_id` is the UUID in URLs; `sha256` are 32 bytes, `size` is in bytes."""

    storage_id: str
    storage_key: str
    sha256: bytes
    size: int
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A row with its id, which is what user code calls a storage id."""

    id_text: str
    row: StoredFileRow


async def insert_stored_file(
    tx: Transaction, row: StoredFileRow, *, namespace: Namespace = ROOT
) -> str:
    """The id of the new file."""
    return await tx.system(namespace).insert(FILE_STORAGE_TABLE, encode_stored_file(row))


async def find_stored_file(
    tx: Transaction, storage_id: str, *, namespace: Namespace = ROOT
) -> StoredFile | None:
    """By document id, or by UUID as older apps kept it; None if the file was deleted.

    Raises: InvalidStorageId for a text that is neither.
    """
    if is_storage_uuid(storage_id):
        return await find_stored_file_by_uuid(tx, storage_id, namespace=namespace)
    view = STORAGE_VIEW.name
    if tx.user(namespace).normalize_id(view, storage_id, is_system=True) is None:
        raise bad_request(
            "InvalidStorageId",
            f"Invalid storage id {storage_id!r}: pass an id of the table _storage.",
        )
    document = await tx.system(namespace).get(FILE_STORAGE_TABLE, storage_id)
    return None if document is None else decode_stored_file(document)


async def find_stored_file_by_uuid(
    tx: Transaction, storage_uuid: str, *, namespace: Namespace = ROOT
) -> StoredFile | None:
    rows = await tx.system(namespace).query(
        FILE_STORAGE_TABLE, "by_storage_id", [storage_uuid], limit=1
    )
    return decode_stored_file(rows[0]) if rows else None


async def delete_stored_file(
    tx: Transaction, file: StoredFile, *, namespace: Namespace = ROOT
) -> None:
    """Forget the file. Its bytes go later, when no row has their key."""
    await tx.system(namespace).delete(FILE_STORAGE_TABLE, file.id_text)


async def is_storage_key_used(tx: Transaction, storage_key: str) -> bool:
    """Whether a file of any component has these bytes, or will when an import is finished."""
    return await is_in_any_table(tx, FILE_STORAGE_TABLE, "by_storage_key", [storage_key])


def is_storage_uuid(text: str) -> bool:
    """Only the usual spelling, which is what rows hold."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def encode_stored_file(row: StoredFileRow) -> dict[str, Value]:
    """The document of a row, without system fields."""
    return encode_row(row)


def decode_stored_file(document: Document) -> StoredFile:
    return StoredFile(id_text=document.id_text, row=decode_row(document, StoredFileRow))


async def _view(document: Document, tables: SystemTables) -> dict[str, Value]:
    """The row as `ctx.db.system` shows it (execution 6.3)."""
    row = decode_row(document, StoredFileRow)
    view: dict[str, Value] = {
        "sha256": b64encode(row.sha256).decode(),
        "size": float(row.size),
    }
    if row.content_type is not None:
        view["contentType"] = row.content_type
    return view


STORAGE_VIEW = VirtualTable(name="_storage", physical_name=FILE_STORAGE_TABLE, convert=_view)
