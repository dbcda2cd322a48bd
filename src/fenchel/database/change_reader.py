"""What happened to the documents of all user tables after a timestamp, commit by commit: what
streaming exports read.

Nothing is recorded as read and no limit of functions counts. Source: database specification 10.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fenchel.database.metadata import Metadata, Table, TableState
from fenchel.database.persisted_timestamps import DOCUMENT_MIN_SNAPSHOT_TS, decode_global_ts
from fenchel.documents import Document, InternalId, TabletId, Timestamp, encode_document_id
from fenchel.errors import bad_request
from fenchel.persistence import LogRow

if TYPE_CHECKING:
    from fenchel.database.database import Database


class Change(NamedTuple):
    """One revision of a document; `document` None means that the commit deleted it."""

    ts: Timestamp
    table: Table
    id_text: str
    document: Document | None


class ChangePage(NamedTuple):
    """Changes in the order of commits, none of a commit left out.

    `through_ts`: everything up to it was looked at. `has_more`: later commits may have changes.
    """

    changes: list[Change]
    through_ts: Timestamp
    has_more: bool


async def load_changes(database: Database, after_ts: Timestamp, *, limit: int) -> ChangePage:
    """Some `limit` revisions behind `after_ts`, of the user tables that there are now.

    Raises: InvalidWindowToReadDocuments if revisions behind `after_ts` may be deleted already.
    """
    tx = database.begin()
    latest_ts = tx.begin_ts
    if after_ts >= latest_ts:
        return ChangePage([], after_ts, False)
    rows, has_more = await database.persistence.load_log_page(
        (after_ts + 1, b"", b""), through_ts=latest_ts, limit=limit
    )
    through_ts = Timestamp(rows[-1].ts) if has_more else latest_ts
    is_cut = has_more
    while is_cut:
        # A cursor is a timestamp, so what was committed together comes together.
        rest, is_cut = await database.persistence.load_log_page(
            rows[-1].position, through_ts=through_ts, limit=limit
        )
        rows.extend(rest)
        is_cut = is_cut and bool(rest)
    # Asked after reading: deletion may have passed the reader meanwhile.
    stored = await database.persistence.load_globals()
    if after_ts < decode_global_ts(stored, DOCUMENT_MIN_SNAPSHOT_TS):
        raise bad_request(
            "InvalidWindowToReadDocuments",
            f"Changes after timestamp {after_ts} are no longer kept, because they are too old. "
            "Start again with a full snapshot (list_snapshot).",
        )
    changes = [change for row in rows if (change := _decode(row, tx.metadata)) is not None]
    return ChangePage(changes, through_ts, has_more)


def _decode(row: LogRow, metadata: Metadata) -> Change | None:
    """None for system tables, tables that an import is filling, and tables that are gone."""
    table = metadata.tables.get(TabletId(row.tablet_id))
    if table is None or not table.is_user or table.state is not TableState.ACTIVE:
        return None
    id_text = encode_document_id(table.number, InternalId(row.internal_id))
    return Change(Timestamp(row.ts), table, id_text, row.document)
