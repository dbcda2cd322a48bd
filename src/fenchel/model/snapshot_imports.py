"""`_snapshot_imports`: files that are being imported (database specification 10.4).

States: uploaded -> waiting_for_confirmation -> in_progress -> completed; failed from each of the
first three. An import that needs no confirmation goes from uploaded to in_progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from fenchel.database import TableAdmin, Transaction
from fenchel.documents import Document, TabletId
from fenchel.errors import ErrorKind, FenchelError
from fenchel.model.rows import decode_row, encode_row

_TABLE = "_snapshot_imports"
_BY_STATE = "by_state"

ImportStateName = Literal[
    "uploaded", "waiting_for_confirmation", "in_progress", "completed", "failed"
]
ImportMode = Literal["requireEmpty", "append", "replace", "replaceAll"]
ImportFormatName = Literal["csv", "jsonLines", "jsonArray", "zip"]
_UNFINISHED: tuple[ImportStateName, ...] = ("in_progress", "uploaded", "waiting_for_confirmation")


class ImportState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the CLI looks at (deploy-protocol 3.6); each state has its own fields."""

    state: ImportStateName
    message_to_confirm: str | None = None
    require_manual_confirmation: bool | None = None
    progress_message: str | None = None
    checkpoint_messages: list[str] | None = None
    timestamp: int | None = None
    num_rows_written: int | None = None
    error_message: str | None = None


class ImportFormat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`table` is the target of the formats that hold one table. `component` is where it lies, or
    where the root of an archive goes.
    """

    format: ImportFormatName
    component: str = ""
    table: str | None = None


class TableCheckpoint(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """How far one table has come; `_storage` stands for the files of a component.

    `number` is the table number that the file asks for. `tablet_id` is set when the import starts:
    a hidden table, or the active one that is appended to. Rows up to `row_count_written` are
    committed with this row; `greatest_id` is the greatest id among them.
    """

    component: str = ""
    name: str
    number: int | None
    row_count: int
    row_count_written: int = 0
    greatest_id: str = ""
    tablet_id: bytes | None = None
    is_hidden: bool = True


class ImportRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`object_key` names the file, which is deleted when the import is finished.

    `schema_digest` is that of the schemas when the import started. `attempts` counts starts of the
    worker on this row without progress in between. `created_ns`: nanoseconds since the epoch.
    """

    state: ImportState
    format: ImportFormat
    mode: ImportMode
    object_key: str
    is_auto_confirmed: bool
    created_ns: int
    requestor: str = "snapshotImport"
    checkpoints: list[TableCheckpoint] = []
    schema_digest: bytes | None = None
    attempts: int = 0
    error_code: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.state.state in ("completed", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotImport:
    """A row with its id."""

    id_text: str
    row: ImportRow


async def insert_import(tx: Transaction, row: ImportRow) -> str:
    return await tx.system().insert(_TABLE, encode_row(row))


async def get_import_document(tx: Transaction, id_text: str) -> Document:
    """The row as the CLI wants to see it. Raises: ImportNotFound."""
    try:
        document = await tx.system().get(_TABLE, id_text)
    except FenchelError as error:
        raise _not_found(id_text) from error
    if document is None:
        raise _not_found(id_text)
    return document


async def get_import(tx: Transaction, id_text: str) -> SnapshotImport:
    """Raises: ImportNotFound."""
    return _decode(await get_import_document(tx, id_text))


async def list_import_documents(tx: Transaction, *, limit: int) -> list[Document]:
    """The newest rows, newest first."""
    return await tx.system().query(_TABLE, "by_creation_time", order="desc", limit=limit)


async def list_unfinished_imports(tx: Transaction) -> list[SnapshotImport]:
    """Those in progress first; in each state the oldest first."""
    rows = [
        row for state in _UNFINISHED for row in await tx.system().query(_TABLE, _BY_STATE, [state])
    ]
    return [_decode(row) for row in rows]


async def replace_import(tx: Transaction, id_text: str, row: ImportRow) -> None:
    await tx.system().replace(_TABLE, id_text, encode_row(row))


async def fail_import(
    tx: Transaction, snapshot_import: SnapshotImport, *, code: str, message: str
) -> None:
    """Unfinished to failed; what was filled and not put in place yet goes away."""
    row = snapshot_import.row
    assert not row.is_finished
    for checkpoint in row.checkpoints:
        tables = TableAdmin(tx, checkpoint.component)
        if checkpoint.tablet_id is not None and checkpoint.is_hidden:
            hidden = tables.find_hidden(TabletId(checkpoint.tablet_id))
            if hidden is not None:
                await tables.discard(hidden)
    failed = msgspec.structs.replace(
        row, state=ImportState(state="failed", error_message=message), error_code=code
    )
    await replace_import(tx, snapshot_import.id_text, failed)


def _not_found(id_text: str) -> FenchelError:
    return FenchelError(ErrorKind.NOT_FOUND, "ImportNotFound", f"There is no import {id_text}.")


def _decode(document: Document) -> SnapshotImport:
    return SnapshotImport(id_text=document.id_text, row=decode_row(document, ImportRow))
