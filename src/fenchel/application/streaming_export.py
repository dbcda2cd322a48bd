"""Streaming exports: a snapshot page by page, then what changed since, for connectors that copy a
deployment elsewhere and keep the copy up to date (database specification 10.7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from fenchel.application.export_selection import ColumnSelection, ExportSelection
from fenchel.application.listed_snapshots import ListedSnapshots
from fenchel.application.table_descriptions import describe_tables
from fenchel.database import Database, Namespace, SnapshotReader, Table, load_changes
from fenchel.definitions import JsonSchema
from fenchel.documents import Document, Timestamp, decode_document_id
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime import Runtime
from fenchel.values import Value


class StreamedDocument(NamedTuple):
    """A revision with where it belongs. `document` None: it was deleted."""

    component: str
    table: str
    ts: Timestamp
    id_text: str
    document: Document | None
    columns: ColumnSelection

    def pick(self) -> dict[str, Value]:
        """The wanted fields."""
        assert self.document is not None
        return self.columns.pick(self.document.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPage:
    """`cursor` None: this was the last page of `snapshot`."""

    documents: list[StreamedDocument]
    snapshot: Timestamp
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaPage:
    """Everything up to `cursor` is known now; `has_more`: there may be more already."""

    documents: list[StreamedDocument]
    cursor: Timestamp
    has_more: bool


class _Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Behind a document, or before all of a table."""

    tablet: str
    id: str | None


class StreamingExports:
    """Only admins get here; nothing counts against the limits of functions."""

    def __init__(self, *, database: Database, runtime: Runtime, listed: ListedSnapshots) -> None:
        self._database = database
        self._runtime = runtime
        self._settings = runtime.settings.snapshot
        self._listed = listed

    async def list_snapshot(
        self, selection: ExportSelection, *, snapshot: int | None, cursor: str | None
    ) -> SnapshotPage:
        """A page of documents of one table, in id order, as of `snapshot` (the newest if None).

        Raises: SnapshotTooNew, SnapshotTooOld, InvalidListSnapshotCursor.
        """
        position = None if cursor is None else _decode_cursor(cursor)
        latest_ts = self._database.begin().begin_ts
        ts = latest_ts if snapshot is None else Timestamp(snapshot)
        if ts > latest_ts:
            raise bad_request("SnapshotTooNew", f"Snapshot value {ts} is in the future.")
        try:
            self._listed.renew(ts)
            reader = SnapshotReader(self._database, ts=ts)
            return await self._load_page(reader, selection, position)
        except FenchelError as error:
            if error.kind is not ErrorKind.OUT_OF_RETENTION:
                raise
            raise bad_request(
                "SnapshotTooOld",
                f"Snapshot value {ts} is too far in the past. Start again without `snapshot` and "
                "`cursor`.",
            ) from error

    async def document_deltas(self, selection: ExportSelection, cursor: int) -> DeltaPage:
        """Some changes after the timestamp `cursor`, commits as a whole, in their order.

        Raises: InvalidWindowToReadDocuments.
        """
        page = await load_changes(
            self._database, Timestamp(cursor), limit=self._settings.streaming_change_rows
        )
        documents = []
        for ts, table, id_text, document in page.changes:
            columns = selection.columns_of(table.namespace, table.name)
            if columns is not None:
                documents.append(streamed(ts, table, id_text, document, columns))
        return DeltaPage(documents=documents, cursor=page.through_ts, has_more=page.has_more)

    async def describe_tables(
        self, *, is_lossless: bool
    ) -> Mapping[Namespace, Mapping[str, JsonSchema]]:
        """JSON Schemas of all tables, by component and name (see `table_descriptions`)."""
        return await describe_tables(self._database, self._runtime, is_lossless=is_lossless)

    async def _load_page(
        self, reader: SnapshotReader, selection: ExportSelection, position: _Cursor | None
    ) -> SnapshotPage:
        """One page; tables without documents are passed over."""
        start = "" if position is None else position.tablet
        tables = [size.table for size in reader.list_user_tables(None) if size.document_count > 0]
        tables = [table for table in tables if table.tablet_id.hex() >= start]
        wanted = [t for t in tables if selection.columns_of(t.namespace, t.name) is not None]
        wanted.sort(key=lambda table: table.tablet_id)
        if not wanted:
            return SnapshotPage(documents=[], snapshot=reader.ts, cursor=None)
        table, *rest = wanted
        is_begun = position is not None and position.tablet == table.tablet_id.hex()
        after_id = position.id if is_begun and position is not None else None
        revisions, has_more = await reader.load_page(
            table, after_id=after_id, limit=self._settings.streaming_snapshot_rows
        )
        columns = selection.columns_of(table.namespace, table.name)
        assert columns is not None
        documents = [
            streamed(Timestamp(ts), table, document.id_text, document, columns)
            for _, ts, document in revisions
        ]
        cursor = None
        if has_more:
            cursor = _Cursor(tablet=table.tablet_id.hex(), id=documents[-1].id_text)
        elif rest:
            cursor = _Cursor(tablet=rest[0].tablet_id.hex(), id=None)
        text = None if cursor is None else msgspec.json.encode(cursor).decode()
        return SnapshotPage(documents=documents, snapshot=reader.ts, cursor=text)


def streamed(
    ts: Timestamp, table: Table, id_text: str, document: Document | None, columns: ColumnSelection
) -> StreamedDocument:
    """A revision of the table, as much of it as is wanted."""
    return StreamedDocument(table.namespace, table.name, ts, id_text, document, columns)


def _decode_cursor(text: str) -> _Cursor:
    """Raises: InvalidListSnapshotCursor."""
    try:
        cursor = msgspec.json.decode(text, type=_Cursor)
        bytes.fromhex(cursor.tablet)
        if cursor.id is not None:
            decode_document_id(cursor.id)
    except (msgspec.DecodeError, RecursionError, ValueError, FenchelError) as error:
        raise bad_request(
            "InvalidListSnapshotCursor",
            "The cursor is not one that list_snapshot has returned. Pass it on as it was.",
        ) from error
    return cursor
