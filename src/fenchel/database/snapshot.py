"""The published state: metadata, table counts and hot system tables at every retained timestamp.

Only the committer publishes; everybody else opens a `Snapshot` at a timestamp and reads.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from fenchel.database.commit import DocumentChange
from fenchel.database.commit_log import CommitLog
from fenchel.database.in_memory_indexes import OlderIndexes
from fenchel.database.index_pages import IndexPages, PageKey
from fenchel.database.latest_documents import LatestDocuments
from fenchel.database.metadata import Index, Metadata, Table
from fenchel.database.snapshot_bounds import SnapshotBounds
from fenchel.database.types import StoredDocument
from fenchel.documents import InternalId, Interval, TabletId, Timestamp
from fenchel.persistence import (
    IndexPage,
    MemoryStore,
    Persistence,
    SummaryRow,
    WriteBatch,
)
from fenchel.runtime.settings import DatabaseSettings


class _MetadataVersion(NamedTuple):
    ts: Timestamp
    metadata: Metadata


def _version_ts(version: _MetadataVersion) -> Timestamp:
    return version.ts


class _CountHistory:
    """Versions of one table's sums, ascending by timestamp: 24 bytes for each."""

    __slots__ = ("document_counts", "size_bytes", "timestamps")

    def __init__(self) -> None:
        self.timestamps = array("q")
        self.document_counts = array("q")
        self.size_bytes = array("q")

    def append(self, ts: Timestamp, document_count: int, size_bytes: int) -> None:
        self.timestamps.append(ts)
        self.document_counts.append(document_count)
        self.size_bytes.append(size_bytes)

    def at(self, ts: Timestamp) -> tuple[int, int]:
        place = bisect_right(self.timestamps, ts) - 1
        return (self.document_counts[place], self.size_bytes[place]) if place >= 0 else (0, 0)

    def prune(self, before_ts: Timestamp) -> None:
        place = bisect_right(self.timestamps, before_ts) - 1
        if place > 0:
            del self.timestamps[:place], self.document_counts[:place], self.size_bytes[:place]


class TableCounts:
    """Number and size of live documents by table and timestamp."""

    def __init__(self, summaries: Iterable[SummaryRow], ts: Timestamp) -> None:
        self._by_tablet: dict[bytes, _CountHistory] = {}
        for row in summaries:
            self.append(ts, *row)

    def latest(self, tablet_id: bytes) -> tuple[int, int]:
        """(documents, bytes) of the table now."""
        history = self._by_tablet.get(tablet_id)
        return (0, 0) if history is None else (history.document_counts[-1], history.size_bytes[-1])

    def at(self, tablet_id: bytes, ts: Timestamp) -> tuple[int, int]:
        """(documents, bytes) of the table in the snapshot at `ts`; zero if it had none."""
        history = self._by_tablet.get(tablet_id)
        return (0, 0) if history is None else history.at(ts)

    def append(self, ts: Timestamp, tablet_id: bytes, document_count: int, size_bytes: int) -> None:
        history = self._by_tablet.get(tablet_id)
        if history is None:
            history = self._by_tablet[tablet_id] = _CountHistory()
        history.append(ts, document_count, size_bytes)

    def prune(self, before_ts: Timestamp) -> None:
        """Keep what snapshots at or after `before_ts` see."""
        for history in self._by_tablet.values():
            history.prune(before_ts)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The database at `ts`. Reads of one snapshot never see another (architecture, invariant 1)."""

    ts: Timestamp
    metadata: Metadata
    persistence: Persistence
    memory: MemoryStore
    counts: TableCounts
    bounds: SnapshotBounds
    latest: LatestDocuments
    pages: IndexPages
    older: OlderIndexes

    async def load_document(
        self, table: Table, by_id: Index, internal_id: InternalId, interval: Interval
    ) -> StoredDocument | None:
        """The committed document at its place, `interval`, in the index by id.

        Raises: OutOfRetention.
        """
        if not table.is_in_memory:
            found = self.latest.find(table.tablet_id, internal_id, self.ts)
            if found is not None:
                self.bounds.check(self.ts)
                return found
        page = await self._load_page(table, PageKey(by_id.index_id, interval, False, 1))
        if not page.revisions:
            return None
        revision = page.revisions[0]
        stored = StoredDocument(Timestamp(revision.ts), revision.document)
        if not table.is_in_memory:
            self.latest.add(stored, self.ts)
        return stored

    async def was_deleted(self, table: Table, internal_id: InternalId) -> bool:
        """Whether a document of that id was deleted, as far back as the log goes."""
        return await self.persistence.was_deleted(table.tablet_id, internal_id)

    async def load_index_page(
        self, table: Table, index: Index, interval: Interval, *, is_descending: bool, limit: int
    ) -> IndexPage:
        """Committed documents of the interval in scan order, at most `limit`.

        Callers share the page and leave it as it is. Raises: OutOfRetention if the snapshot was
        given up before the read had ended.
        """
        key = PageKey(index.index_id, interval, is_descending, limit)
        if table.is_in_memory:
            return await self._load_page(table, key)
        page = self.pages.find(key, self.ts)
        if page is not None:
            self.bounds.check(self.ts)
            return page
        page = await self._load_page(table, key)
        self.pages.add(key, page, self.ts)
        return page

    async def _load_page(self, table: Table, key: PageKey) -> IndexPage:
        index_id, interval, is_descending, limit = key
        if table.is_in_memory and self.ts >= self.memory.min_ts:
            self.bounds.check(self.ts)
            return self.memory.load_page(
                index_id, interval, ts=self.ts, is_descending=is_descending, limit=limit
            )
        source = self.older if table.is_in_memory else self.persistence
        try:
            page = await source.load_index_page(
                index_id, interval, ts=self.ts, is_descending=is_descending, limit=limit
            )
        except Exception:
            # An index entry may lead to a document that was deleted under the reader.
            self.bounds.check(self.ts)
            raise
        self.bounds.check(self.ts)
        return page

    def document_count(self, tablet_id: TabletId) -> int:
        """Raises: OutOfRetention."""
        self.bounds.check(self.ts)
        return self.counts.at(tablet_id, self.ts)[0]


class SnapshotManager:
    """All retained snapshots, sharing what did not change.

    The memory has the system tables of the last `recent_seconds` only; `older` serves snapshots
    before them, which somebody may hold for hours.

    `latest_ts` starts at the opened timestamp and only grows, in `publish`. Invariant: metadata
    versions ascend, and the first is at or before `bounds.min_ts`.
    """

    def __init__(
        self,
        *,
        ts: Timestamp,
        metadata: Metadata,
        persistence: Persistence,
        memory: MemoryStore,
        counts: TableCounts,
        settings: DatabaseSettings,
        older: OlderIndexes,
    ) -> None:
        self.latest_ts = ts
        self.bounds = SnapshotBounds(ts)
        self.latest_metadata = metadata
        self.counts = counts
        self._history = [_MetadataVersion(ts, metadata)]
        self._persistence = persistence
        self._memory = memory
        self._recent_ns = int(settings.recent_snapshot_seconds * 1e9)
        self._older = older
        self._latest_documents = LatestDocuments(settings.latest_documents_bytes_max, ts)
        # What the committer appends to: it knows of every commit before it is published.
        self.log = CommitLog(ts, settings)
        self._pages = IndexPages(settings.index_pages_bytes_max, self.log)
        # The snapshot at `latest_ts`, once somebody has asked for it.
        self._newest: Snapshot | None = None

    def at(self, ts: Timestamp) -> Snapshot:
        """The snapshot at a published timestamp. Raises: OutOfRetention."""
        if self._newest is not None and self._newest.ts == ts:
            return self._newest
        assert ts <= self.latest_ts, "a snapshot in the future"
        self.bounds.check(ts)
        metadata = self.latest_metadata
        if ts < self._history[-1].ts:
            place = bisect_right(self._history, ts, key=_version_ts)
            metadata = self._history[place - 1].metadata
        snapshot = Snapshot(
            ts=ts,
            metadata=metadata,
            persistence=self._persistence,
            memory=self._memory,
            counts=self.counts,
            bounds=self.bounds,
            latest=self._latest_documents,
            pages=self._pages,
            older=self._older,
        )
        if ts == self.latest_ts:
            self._newest = snapshot
        return snapshot

    def publish(
        self,
        ts: Timestamp,
        metadata: Metadata,
        memory_rows: WriteBatch | None,
        changes: Sequence[DocumentChange],
        counts: Mapping[TabletId, tuple[int, int]],
    ) -> None:
        """Make the commit at `ts` the newest snapshot. Never awaits: nobody sees half of it.

        `memory_rows` are its rows of tables held in memory; `counts` are (documents, bytes) of the
        tables it writes to.
        """
        assert ts > self.latest_ts
        self._newest = None
        if memory_rows is not None:
            self._memory.apply(memory_rows)
            self._older.append(ts, (row.index_id for row in memory_rows.index_rows))
        self._latest_documents.apply(ts, changes)
        for tablet_id, sums in counts.items():
            self.counts.append(ts, tablet_id, *sums)
        if metadata is not self.latest_metadata:
            self._history.append(_MetadataVersion(ts, metadata))
            self.latest_metadata = metadata
        self.latest_ts = ts

    def give_up(self, before_ts: Timestamp) -> None:
        """Forget snapshots before `before_ts`, which nobody holds and the persistence knows of."""
        self.bounds.advance(before_ts)
        min_ts = self.bounds.min_ts
        place = bisect_right(self._history, min_ts, key=_version_ts)
        del self._history[: place - 1]
        self._memory.prune(max(min_ts, self.latest_ts - self._recent_ns))
        self._older.prune(min_ts)
        self.counts.prune(min_ts)

    def check_invariants(self) -> None:
        assert self._history[0].ts <= self.bounds.min_ts <= self.latest_ts
        assert all(a.ts < b.ts for a, b in pairwise(self._history))
        self._memory.check_invariants()
        self._latest_documents.check_invariants()
        self._pages.check_invariants()
        self.bounds.check_invariants()
