"""The worker that deletes what no retained snapshot can see: superseded index entries and
revisions, entries of dropped indexes, documents of deleted tables.

It follows the document log behind the bounds, in steps of bounded size, each one durable write with
the cursor; after a crash some steps are done again, which changes nothing. Bounds are persisted
before they take effect. Source: database specification 9.3 and 9.4.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

from fenchel.database.background import try_commit
from fenchel.database.database import Database
from fenchel.database.metadata import Index, IndexKind, TableState, decode_index
from fenchel.database.persisted_timestamps import (
    CONFIRMED_DELETED_TS,
    DOCUMENT_CONFIRMED_DELETED_TS,
    DOCUMENT_MIN_SNAPSHOT_TS,
    MIN_SNAPSHOT_TS,
    decode_global_ts,
    encode_global_ts,
)
from fenchel.database.system_tables import INDEXES, TABLES
from fenchel.database.types import BY_ID, ROOT
from fenchel.database.write_set import index_key
from fenchel.documents import TabletId, Timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.persistence import (
    IndexRow,
    IndexRowKey,
    LogRow,
    RevisionKey,
    WriteBatch,
)

_log = logging.getLogger(__name__)

_NANOSECONDS = 1_000_000_000


class _History:
    """One of the two kinds of old versions. Invariant: `confirmed_ts <= min_ts`.

    `min_ts` starts as persisted and follows later values of it; `confirmed_ts` is the persisted
    cursor: everything superseded up to it is gone. `position` is the cursor within the log.
    """

    def __init__(self, global_values: Mapping[str, str], min_key: str, confirmed_key: str) -> None:
        self.min_key = min_key
        self.confirmed_key = confirmed_key
        self.min_ts = decode_global_ts(global_values, min_key)
        self.confirmed_ts = decode_global_ts(global_values, confirmed_key)
        self.position = _after(self.confirmed_ts)

    def confirm(self, ts: Timestamp) -> None:
        assert self.confirmed_ts <= ts <= self.min_ts
        self.confirmed_ts = ts


class Retention:
    """One per database. `min_ts` of both histories are the only bounds that deletion obeys."""

    def __init__(self, database: Database, global_values: Mapping[str, str]) -> None:
        self._database = database
        self._persistence = database.persistence
        self._settings = database.runtime.settings.database
        self._entries = _History(global_values, MIN_SNAPSHOT_TS, CONFIRMED_DELETED_TS)
        # A bound whose write failed may have been persisted, but its snapshots were not given up:
        # readers in this process still rely on them.
        self._entries.min_ts = min(self._entries.min_ts, database.snapshots.bounds.min_ts)
        self._revisions = _History(
            global_values, DOCUMENT_MIN_SNAPSHOT_TS, DOCUMENT_CONFIRMED_DELETED_TS
        )

    @classmethod
    async def load(cls, database: Database) -> Retention:
        """Continue where the former process was."""
        return cls(database, await database.persistence.load_globals())

    async def run(self) -> None:
        """Until cancelled. Raises: DatabaseStopped."""
        runtime = self._database.runtime
        while True:
            jitter = 0.5 + runtime.randomness.uniform()
            await runtime.clock.sleep(self._settings.retention_pause_seconds * jitter)
            try:
                await self.run_round()
            except FenchelError as error:
                # Too many commits, or a full disk: the next round goes on from the cursors.
                if error.kind is not ErrorKind.OVERLOADED:
                    raise
                _log.warning("retention interrupted error=%s", error)

    async def run_round(self) -> None:
        """Move the bounds, then delete everything behind them."""
        await self._advance_bounds()
        await self._follow_log(self._entries, self._delete_entries)
        await self._follow_log(self._revisions, self._delete_revisions)

    async def _advance_bounds(self) -> None:
        """Specification 9.4: document minimum <= minimum <= repeatable; persisted, then used."""
        snapshots, settings = self._database.snapshots, self._settings
        latest_ts = snapshots.latest_ts
        min_ts = snapshots.bounds.limit(_earlier(latest_ts, settings.snapshot_retention_seconds))
        min_ts = max(min_ts, self._entries.min_ts)
        log_ts = _earlier(latest_ts, settings.document_retention_seconds)
        log_ts = max(min(log_ts, self._entries.confirmed_ts), self._revisions.min_ts)
        if (min_ts, log_ts) == (self._entries.min_ts, self._revisions.min_ts):
            return
        values = {self._entries.min_key: min_ts, self._revisions.min_key: log_ts}
        await self._database.runtime.faults.reach("retention.before_bounds")
        await self._write(WriteBatch(), values)
        # Somebody may hold an older snapshot by now; it is then respected although the persisted
        # bound, which only counts after a restart, is past it.
        self._entries.min_ts = max(snapshots.bounds.limit(min_ts), self._entries.min_ts)
        self._revisions.min_ts = log_ts
        snapshots.give_up(self._entries.min_ts)

    async def _delete_entries(self, rows: Sequence[LogRow]) -> WriteBatch:
        """Entries that these revisions have superseded. Dropped indexes go as a whole, but those
        by id, which lead to what is left of a deleted table, not here."""
        expired: list[IndexRowKey] = []
        for row in filter(_has_replaced, rows):
            dropped = self._dropped_index(row)
            if dropped is not None and dropped.name != BY_ID:
                await self._delete_index(dropped)
            indexes = self._database.metadata.indexes.get(TabletId(row.tablet_id), ())
            expired.extend(_superseded_entries(row, indexes))
        return WriteBatch(expired_index_rows=expired)

    async def _delete_revisions(self, rows: Sequence[LogRow]) -> WriteBatch:
        """What these revisions have replaced, and those among them that are tombstones; and the
        tables deleted with them."""
        replacing = list(filter(_has_replaced, rows))
        for row in replacing:
            dropped = self._dropped_index(row)
            if dropped is not None and dropped.name == BY_ID:
                await self._remove_table(dropped)
        expired = [key for row in replacing for key in _superseded_revisions(row)]
        return WriteBatch(expired_documents=expired)

    async def _follow_log(
        self, history: _History, expire: Callable[[Sequence[LogRow]], Awaitable[WriteBatch]]
    ) -> None:
        """Delete what `expire` finds for the log from the cursor to the bound.

        A step that finds nothing leaves the persisted cursor to a later one.
        """
        has_more = True
        while has_more:
            rows, has_more = await self._persistence.load_log_page(
                history.position,
                through_ts=history.min_ts,
                limit=self._settings.retention_rows_per_step,
            )
            batch = await expire(rows)
            # Other rows of the last timestamp may still follow.
            done_ts = Timestamp(rows[-1].ts - 1) if has_more else history.min_ts
            has_finds = bool(batch.expired_documents or batch.expired_index_rows)
            if has_finds or (not has_more and done_ts > history.confirmed_ts):
                await self._database.runtime.faults.reach("retention.before_delete")
                await self._write(batch, {history.confirmed_key: done_ts})
                history.confirm(done_ts)
            history.position = rows[-1].position if has_more else _after(history.min_ts)
            await self._database.runtime.clock.sleep(0)

    def _dropped_index(self, row: LogRow) -> Index | None:
        """The index whose row this revision deleted."""
        rows = self._database.metadata.root_table(INDEXES)
        if row.tablet_id != rows.tablet_id or row.document is not None or row.previous is None:
            return None
        return decode_index(row.previous)

    async def _delete_index(self, index: Index) -> None:
        """All entries of an index that no retained snapshot has."""
        while entries := await self._load_entries(index.index_id):
            await self._write(WriteBatch(expired_index_rows=list(map(_key_of, entries))), {})

    async def _remove_table(self, by_id: Index) -> None:
        """What is left of a table that was deleted before the retained log began.

        Its documents in the log are those that its entries by id lead to; superseded ones went
        before, because their successors stand before the deletion in the log.
        """
        while entries := await self._load_entries(by_id.index_id):
            batch = WriteBatch(
                expired_index_rows=list(map(_key_of, entries)),
                expired_documents=[(e.ts, e.tablet_id, e.internal_id) for e in entries],
            )
            await self._write(batch, {})
        is_done = False
        while not is_done:
            tx = self._database.begin()
            table = tx.metadata.tables.get(by_id.tablet_id)
            if table is None:
                return
            assert table.state is TableState.DELETING, table.name
            await tx.system(ROOT).delete(TABLES, table.id_text)
            is_done = await try_commit(self._database, tx)
        _log.info("deleted table removed tablet=%s", by_id.tablet_id.hex())

    async def _load_entries(self, index_id: bytes) -> list[IndexRow]:
        """The first entries of an index that is being emptied; lets other work run before."""
        await self._database.runtime.clock.sleep(0)
        limit = self._settings.retention_rows_per_step
        return await self._persistence.load_index_rows(index_id, limit=limit)

    async def _write(self, batch: WriteBatch, timestamps: Mapping[str, Timestamp]) -> None:
        values = {key: encode_global_ts(ts) for key, ts in timestamps.items()}
        await self._persistence.write(
            WriteBatch(
                global_values=values,
                expired_documents=batch.expired_documents,
                expired_index_rows=batch.expired_index_rows,
            )
        )


def _has_replaced(row: LogRow) -> bool:
    """Whether the revision has a former one, or is a tombstone. Most of a log that was filled
    at once have none."""
    return row.prev_ts is not None or row.document is None


def _superseded_entries(row: LogRow, indexes: Iterable[Index]) -> Iterator[IndexRowKey]:
    """Entries of the revision that `row` replaced; of keys left behind also the deletion itself.

    A key ends with its document's id, so nobody else has entries there, and the older ones of this
    document went before.
    """
    if row.prev_ts is None or row.previous is None:
        return
    for index in indexes:
        if index.kind is not IndexKind.DATABASE:
            continue
        old_key = index_key(index, row.previous)
        yield IndexRowKey(index.index_id, old_key, row.prev_ts)
        if row.document is None or index_key(index, row.document) != old_key:
            yield IndexRowKey(index.index_id, old_key, row.ts)


def _superseded_revisions(row: LogRow) -> Iterator[RevisionKey]:
    if row.prev_ts is not None:
        yield row.prev_ts, row.tablet_id, row.internal_id
    if row.document is None:
        yield row.position


def _key_of(row: IndexRow) -> IndexRowKey:
    return IndexRowKey(row.index_id, row.key, row.ts)


def _after(ts: int) -> RevisionKey:
    """Behind everything of that timestamp."""
    return ts + 1, b"", b""


def _earlier(ts: Timestamp, seconds: float) -> Timestamp:
    return Timestamp(max(ts - int(seconds * _NANOSECONDS), 0))
