"""`_exports`: snapshot exports that were asked for (database specification 10.3).

States: requested -> in_progress -> completed; canceled instead from each of the first two. A new
start after a crash leaves a row in progress, with another `start_ts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from fenchel.database import Transaction
from fenchel.documents import Document
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.model.rows import decode_row, encode_row

_TABLE = "_exports"
_BY_STATE = "by_state_and_ts"
_REQUESTOR = "snapshotExport"

ExportStateName = Literal["requested", "in_progress", "completed", "failed", "canceled"]
_UNFINISHED: tuple[ExportStateName, ...] = ("requested", "in_progress")


class ExportFormat(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["zip"] = "zip"
    include_storage: bool = False


class ExportRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times are nanoseconds since the epoch; `start_ts` is the timestamp of the snapshot.

    `zip_object_key` and `size` (bytes) belong to completed exports.
    """

    state: ExportStateName
    format: ExportFormat
    requestor: str
    expiration_ts: int
    start_ts: int | None = None
    progress_message: str | None = None
    complete_ts: int | None = None
    canceled_ts: int | None = None
    zip_object_key: str | None = None
    size: int | None = None

    @property
    def is_finished(self) -> bool:
        return self.state not in _UNFINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A row with its id."""

    id_text: str
    row: ExportRow


async def request_export(tx: Transaction, *, include_storage: bool, expiration_ts: int) -> str:
    """Ask for an export; its id. Raises: ExportInProgress."""
    if await get_unfinished_export(tx) is not None:
        raise bad_request(
            "ExportInProgress",
            "There is already an export requested or in progress. Wait for it to finish, or cancel "
            "it.",
        )
    row = ExportRow(
        state="requested",
        format=ExportFormat(include_storage=include_storage),
        requestor=_REQUESTOR,
        expiration_ts=expiration_ts,
    )
    return await tx.system().insert(_TABLE, encode_row(row))


async def get_export(tx: Transaction, id_text: str) -> Export | None:
    """Raises: InvalidId."""
    document = await tx.system().get(_TABLE, id_text)
    return None if document is None else _decode(document)


async def find_export_by_start(tx: Transaction, start_ts: int) -> Export | None:
    """The export of the snapshot at that timestamp, in whatever state."""
    states: tuple[ExportStateName, ...] = ("completed", "in_progress", "canceled", "failed")
    for state in states:
        rows = await tx.system().query(_TABLE, _BY_STATE, [state, start_ts], limit=1)
        if rows:
            return _decode(rows[0])
    return None


async def get_unfinished_export(tx: Transaction) -> Export | None:
    """The export that is requested or in progress: there is at most one."""
    for state in _UNFINISHED:
        rows = await tx.system().query(_TABLE, _BY_STATE, [state], limit=1)
        if rows:
            return _decode(rows[0])
    return None


async def get_latest_export_document(tx: Transaction) -> Document | None:
    """The newest row, as the CLI wants to see it."""
    rows = await tx.system().query(_TABLE, "by_requestor", [_REQUESTOR], order="desc", limit=1)
    return rows[0] if rows else None


async def replace_export(tx: Transaction, id_text: str, row: ExportRow) -> None:
    await tx.system().replace(_TABLE, id_text, encode_row(row))


async def delete_expired_exports(tx: Transaction, *, now_ns: int) -> int:
    """Delete finished exports whose time is over; how many there were."""
    expired = [
        export
        for export in await list_exports(tx)
        if export.row.is_finished and export.row.expiration_ts <= now_ns
    ]
    for export in expired:
        await tx.system().delete(_TABLE, export.id_text)
    return len(expired)


async def list_exports(tx: Transaction) -> list[Export]:
    """All of them, ascending by creation time; expired ones are deleted, so there are few."""
    rows = await tx.system().query(_TABLE, "by_creation_time")
    return [_decode(row) for row in rows]


def export_keys(exports: list[Export]) -> Iterator[str]:
    """The keys of the archives that rows refer to."""
    for export in exports:
        if export.row.zip_object_key is not None:
            yield export.row.zip_object_key


def export_not_found(text: str) -> FenchelError:
    return FenchelError(
        ErrorKind.NOT_FOUND, "ExportNotFound", f"There is no snapshot export {text}."
    )


def _decode(document: Document) -> Export:
    return Export(id_text=document.id_text, row=decode_row(document, ExportRow))
