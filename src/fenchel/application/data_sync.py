"""Data sync: one endless stream of pages that makes a copy of a deployment and keeps it up to date
(database specification 10.7, the newer form).

Each page first brings what is covered up to one timestamp, then goes on with the next documents as
of that timestamp. So everything covered is always as of `ts`, nothing has to be held for a reader,
and the cursor is all there is: it outlives restarts, as long as the log goes back to it.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from fenchel.application.export_selection import ExportSelection
from fenchel.application.streaming_export import StreamedDocument, streamed
from fenchel.database import Change, Database, SnapshotReader, Table, load_changes
from fenchel.documents import Timestamp
from fenchel.errors import FenchelError, bad_request
from fenchel.runtime import Runtime

_TIMESTAMP_MAX = (1 << 63) - 1


class TableName(NamedTuple):
    component: str
    table: str


class _Walk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table whose documents up to `after_id` are covered; before the first one it is None."""

    tablet: str
    component: str
    table: str
    after_id: str | None


class _Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`covered`: names of the tables, by tablet, whose documents are all known as of `ts`."""

    sync_id: str
    ts: int
    covered: dict[str, TableName]
    walk: _Walk | None

    def covers(self, change: Change) -> bool:
        tablet = change.table.tablet_id.hex()
        if self.walk is not None and self.walk.tablet == tablet:
            return self.walk.after_id is not None and change.id_text <= self.walk.after_id
        return tablet in self.covered


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPage:
    """To be applied in this order: forget the tables of `truncates`, then take the documents.

    The copy is the deployment as of `snapshot_ts`; not yet while the status is snapshotting.
    """

    status: Literal["snapshotting", "stale", "upToDate"]
    snapshot_ts: Timestamp
    truncates: list[TableName]
    documents: list[StreamedDocument]
    sync_id: str
    cursor: str


class DataSync:
    """Only admins get here; nothing counts against the limits of functions."""

    def __init__(self, *, database: Database, runtime: Runtime) -> None:
        self._database = database
        self._runtime = runtime
        self._settings = runtime.settings.snapshot

    async def load_page(self, selection: ExportSelection, cursor_text: str | None) -> SyncPage:
        """The next page; the first one for None.

        Raises: InvalidDataSyncCursor, DataSyncCursorExpired.
        """
        cursor = self._begin() if cursor_text is None else _decode_cursor(cursor_text)
        documents, cursor, has_more = await self._follow(selection, cursor)
        truncates: list[TableName] = []
        is_complete = cursor.walk is None
        if not has_more:
            reader = SnapshotReader(self._database, ts=Timestamp(cursor.ts))
            tables = _selected(reader, selection)
            cursor = _leave(cursor, tables, truncates)
            walked, cursor, is_complete = await self._walk(
                reader, selection, tables, cursor, truncates
            )
            documents += walked
        status: Literal["snapshotting", "stale", "upToDate"] = "snapshotting"
        if is_complete:
            status = "stale" if has_more else "upToDate"
        return SyncPage(
            status=status,
            snapshot_ts=Timestamp(cursor.ts),
            truncates=truncates,
            documents=documents,
            sync_id=cursor.sync_id,
            cursor=_encode_cursor(cursor),
        )

    def _begin(self) -> _Cursor:
        ts = self._database.begin().begin_ts
        return _Cursor(sync_id=self._runtime.randomness.uuid4(), ts=ts, covered={}, walk=None)

    async def _follow(
        self, selection: ExportSelection, cursor: _Cursor
    ) -> tuple[list[StreamedDocument], _Cursor, bool]:
        """What changed of the covered documents; whether there may be more already."""
        try:
            page = await load_changes(
                self._database, Timestamp(cursor.ts), limit=self._settings.streaming_change_rows
            )
        except FenchelError as error:
            if error.code != "InvalidWindowToReadDocuments":
                raise
            raise bad_request(
                "DataSyncCursorExpired",
                "The cursor is older than the changes that are kept. Start the sync again without "
                "a cursor.",
            ) from error
        documents = []
        for change in page.changes:
            columns = selection.columns_of(change.table.namespace, change.table.name)
            if columns is not None and cursor.covers(change):
                documents.append(streamed(*change, columns))
        moved = msgspec.structs.replace(cursor, ts=page.through_ts)
        return documents, moved, page.has_more

    async def _walk(
        self,
        reader: SnapshotReader,
        selection: ExportSelection,
        tables: Mapping[str, Table],
        cursor: _Cursor,
        truncates: list[TableName],
    ) -> tuple[list[StreamedDocument], _Cursor, bool]:
        """Documents behind those that are covered, and whether these were the last."""
        documents: list[StreamedDocument] = []
        limit = self._settings.streaming_snapshot_rows
        walk, covered = cursor.walk, dict(cursor.covered)
        while len(documents) < limit:
            if walk is None:
                walk = _next_walk(tables, covered)
                if walk is None:
                    break
                truncates.append(TableName(walk.component, walk.table))
            table = tables[walk.tablet]
            columns = selection.columns_of(table.namespace, table.name)
            assert columns is not None
            page = await reader.load_page(
                table, after_id=walk.after_id, limit=limit - len(documents)
            )
            for _, ts, document in page.revisions:
                documents.append(
                    streamed(Timestamp(ts), table, document.id_text, document, columns)
                )
            if page.has_more:
                walk = msgspec.structs.replace(walk, after_id=documents[-1].id_text)
                break
            covered[walk.tablet] = TableName(walk.component, walk.table)
            walk = None
            # Other work runs between two tables.
            await self._runtime.clock.sleep(0)
        is_complete = walk is None and _next_walk(tables, covered) is None
        return documents, msgspec.structs.replace(cursor, covered=covered, walk=walk), is_complete


def _selected(reader: SnapshotReader, selection: ExportSelection) -> dict[str, Table]:
    """By tablet, in their order."""
    tables = [size.table for size in reader.list_user_tables(None)]
    return {
        table.tablet_id.hex(): table
        for table in sorted(tables, key=lambda table: table.tablet_id)
        if selection.columns_of(table.namespace, table.name) is not None
    }


def _leave(cursor: _Cursor, tables: Mapping[str, Table], truncates: list[TableName]) -> _Cursor:
    """Without the tables that were replaced, deleted or deselected."""
    covered = {tablet: name for tablet, name in cursor.covered.items() if tablet in tables}
    truncates += [name for tablet, name in cursor.covered.items() if tablet not in tables]
    walk = cursor.walk
    if walk is not None and walk.tablet not in tables:
        truncates.append(TableName(walk.component, walk.table))
        walk = None
    return msgspec.structs.replace(cursor, covered=covered, walk=walk)


def _next_walk(tables: Mapping[str, Table], covered: Mapping[str, TableName]) -> _Walk | None:
    for tablet, table in tables.items():
        if tablet not in covered:
            return _Walk(tablet=tablet, component=table.namespace, table=table.name, after_id=None)
    return None


def _encode_cursor(cursor: _Cursor) -> str:
    return urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def _decode_cursor(text: str) -> _Cursor:
    """Raises: InvalidDataSyncCursor."""
    try:
        cursor = msgspec.json.decode(urlsafe_b64decode(text.encode()), type=_Cursor)
    except (msgspec.DecodeError, RecursionError, binascii.Error, ValueError) as error:
        raise _invalid_cursor() from error
    if not 0 <= cursor.ts <= _TIMESTAMP_MAX:
        raise _invalid_cursor()
    return cursor


def _invalid_cursor() -> FenchelError:
    return bad_request(
        "InvalidDataSyncCursor",
        "The cursor is not one that data sync has returned. Pass it on as it was.",
    )
