"""The published state: metadata, table counts and hot system tables at every retained timestamp.

Only the committer publishes; everybody else opens a `Snapshot` at a timestamp and reads.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from fenchel.database.commit_log import out_of_retention
from fenchel.database.metadata import Index, Metadata, Table
from fenchel.documents import Interval, TabletId, Timestamp
from fenchel.persistence import IndexPage, MemoryStore, Persistence, SummaryRow, WriteBatch


class _MetadataVersion(NamedTuple):
    ts: Timestamp
    metadata: Metadata


class _CountVersion(NamedTuple):
    ts: Timestamp
    document_count: int
    size_bytes: int


def _version_ts(version: _MetadataVersion | _CountVersion) -> Timestamp:
    return version.ts


class Retention:
    """From which timestamp on memory knows all snapshots; `start_ts` only grows."""

    def __init__(self, start_ts: Timestamp) -> None:
        self.start_ts = start_ts

    def check(self, ts: Timestamp) -> None:
        """Raises: OutOfRetention; also for a transaction that began in time and took too long."""
        if ts < self.start_ts:
            raise out_of_retention(ts)


class TableCounts:
    """Number and size of live documents by table and timestamp. Versions of a table ascend by
    ts."""

    def __init__(self, summaries: Iterable[SummaryRow], ts: Timestamp) -> None:
        self._by_tablet: dict[bytes, list[_CountVersion]] = {
            row.tablet_id: [_CountVersion(ts, row.document_count, row.size_bytes)]
            for row in summaries
        }

    def at(self, tablet_id: bytes, ts: Timestamp) -> tuple[int, int]:
        """(documents, bytes) of the table in the snapshot at `ts`; zero if it had none."""
        versions = self._by_tablet.get(tablet_id, ())
        place = bisect_right(versions, ts, key=_version_ts)
        return versions[place - 1][1:] if place else (0, 0)

    def append(self, ts: Timestamp, row: SummaryRow) -> None:
        version = _CountVersion(ts, row.document_count, row.size_bytes)
        self._by_tablet.setdefault(row.tablet_id, []).append(version)

    def prune(self, before_ts: Timestamp) -> None:
        """Keep what snapshots at or after `before_ts` see."""
        for versions in self._by_tablet.values():
            place = bisect_right(versions, before_ts, key=_version_ts)
            del versions[: max(place - 1, 0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The database at `ts`. Reads of one snapshot never see another (architecture, invariant 1)."""

    ts: Timestamp
    metadata: Metadata
    persistence: Persistence
    memory: MemoryStore
    counts: TableCounts
    retention: Retention

    async def load_index_page(
        self, table: Table, index: Index, interval: Interval, *, is_descending: bool, limit: int
    ) -> IndexPage:
        """Committed documents of the interval in scan order, at most `limit`.

        Raises: OutOfRetention if memory has forgotten the snapshot in the meantime.
        """
        if table.is_in_memory:
            self.retention.check(self.ts)
            return self.memory.load_page(
                index.index_id, interval, ts=self.ts, is_descending=is_descending, limit=limit
            )
        return await self.persistence.load_index_page(
            index.index_id, interval, ts=self.ts, is_descending=is_descending, limit=limit
        )

    def document_count(self, tablet_id: TabletId) -> int:
        """Raises: OutOfRetention, like reading."""
        self.retention.check(self.ts)
        return self.counts.at(tablet_id, self.ts)[0]


class SnapshotManager:
    """All retained snapshots, sharing what did not change.

    `latest_ts` starts at the opened timestamp and only grows, in `publish`. Invariant: metadata
    versions ascend, and the first is at or before `start_ts`.
    """

    def __init__(
        self,
        *,
        ts: Timestamp,
        metadata: Metadata,
        persistence: Persistence,
        memory: MemoryStore,
        counts: TableCounts,
    ) -> None:
        self.latest_ts = ts
        self._retention = Retention(ts)
        self.latest_metadata = metadata
        self.counts = counts
        self._history = [_MetadataVersion(ts, metadata)]
        self._persistence = persistence
        self._memory = memory

    @property
    def start_ts(self) -> Timestamp:
        """The oldest snapshot that can be read."""
        return self._retention.start_ts

    def at(self, ts: Timestamp) -> Snapshot:
        """The snapshot at a published timestamp. Raises: OutOfRetention."""
        assert ts <= self.latest_ts, "a snapshot in the future"
        self._retention.check(ts)
        metadata = self.latest_metadata
        if ts < self._history[-1].ts:
            place = bisect_right(self._history, ts, key=_version_ts)
            metadata = self._history[place - 1].metadata
        return Snapshot(
            ts=ts,
            metadata=metadata,
            persistence=self._persistence,
            memory=self._memory,
            counts=self.counts,
            retention=self._retention,
        )

    def publish(
        self,
        ts: Timestamp,
        metadata: Metadata,
        memory_rows: WriteBatch,
        summaries: Iterable[SummaryRow],
    ) -> None:
        """Make the commit at `ts` the newest snapshot. Never awaits: nobody sees half of it."""
        assert ts > self.latest_ts
        self._memory.apply(memory_rows)
        for row in summaries:
            self.counts.append(ts, row)
        if metadata is not self.latest_metadata:
            self._history.append(_MetadataVersion(ts, metadata))
            self.latest_metadata = metadata
        self.latest_ts = ts

    def prune(self, before_ts: Timestamp) -> None:
        """Forget snapshots older than `before_ts`."""
        self._retention.start_ts = max(self.start_ts, before_ts)
        place = bisect_right(self._history, self.start_ts, key=_version_ts)
        del self._history[: place - 1]
        self._memory.prune(self.start_ts)
        self.counts.prune(self.start_ts)

    def check_invariants(self) -> None:
        assert self._history[0].ts <= self.start_ts <= self.latest_ts
        assert all(a.ts < b.ts for a, b in pairwise(self._history))
        self._memory.check_invariants()
