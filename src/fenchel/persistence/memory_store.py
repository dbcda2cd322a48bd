"""Versioned indexes in memory: the memory persistence, and the database's hot system tables.

Each index is a sorted map from key to the versions of that key, oldest first. Plain synchronous
code: a reader that does not await sees one state.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice, pairwise
from typing import NamedTuple

from sortedcontainers import SortedDict  # type: ignore[import-untyped]  # ships no types

from fenchel.documents import Document, Interval
from fenchel.persistence.persistence import (
    IndexPage,
    IndexRow,
    IndexRowKey,
    Revision,
    WriteBatch,
)


class _Version(NamedTuple):
    ts: int
    document: Document | None
    row: IndexRow


def _version_ts(version: _Version) -> int:
    return version.ts


class MemoryStore:
    """Documents by index key and timestamp.

    Invariant: the versions of a key have strictly increasing timestamps. With `keeps_history`
    False, `prune` may forget versions that no snapshot at or after its argument can see. `min_ts`
    starts at 0 and is the greatest such argument: earlier timestamps cannot be read.
    """

    def __init__(self, *, keeps_history: bool) -> None:
        self.min_ts = 0
        self._keeps_history = keeps_history
        self._indexes: dict[bytes, SortedDict[bytes, list[_Version]]] = {}
        # Every revision, for index rows that arrive later than their document (backfill).
        self._documents: dict[tuple[bytes, bytes, int], Document] = {}
        # Keys that got a newer version at `ts`, ascending: what pruning has to look at.
        self._superseded: deque[tuple[int, bytes, bytes]] = deque()

    def apply(self, batch: WriteBatch) -> None:
        """Add the batch's documents and index rows; a repeated index row replaces itself. Then
        remove what it says is expired."""
        for row in batch.documents:
            if row.document is not None:
                self._documents[row.tablet_id, row.internal_id, row.ts] = row.document
            if row.prev_ts is not None and not self._keeps_history:
                self._documents.pop((row.tablet_id, row.internal_id, row.prev_ts), None)
        for index_row in batch.index_rows:
            self._apply_index_row(index_row)
        for ts, tablet_id, internal_id in batch.expired_documents:
            self._documents.pop((tablet_id, internal_id, ts), None)
        for expired in batch.expired_index_rows:
            self._expire_index_row(expired)

    def load_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        """The first `limit` live documents of the interval at `ts`, in scan order."""
        index = self._indexes.get(index_id)
        revisions: list[Revision] = []
        if index is None:
            return IndexPage(revisions, False)
        keys = index.irange(
            interval.start, interval.end, inclusive=(True, False), reverse=is_descending
        )
        for key in keys:
            version = _version_at(index[key], ts)
            if version is None or version.document is None:
                continue
            if len(revisions) == limit:
                return IndexPage(revisions, True)
            revisions.append(Revision(key, version.ts, version.document))
        return IndexPage(revisions, False)

    def find_document(self, tablet_id: bytes, internal_id: bytes, ts: int) -> Document | None:
        """The content of the revision of exactly that timestamp."""
        return self._documents.get((tablet_id, internal_id, ts))

    def load_rows(self, index_id: bytes, limit: int) -> list[IndexRow]:
        """The first rows of an index, all versions of its keys."""
        index = self._indexes.get(index_id, {})
        rows = (version.row for versions in index.values() for version in versions)
        return list(islice(rows, limit))

    def prune(self, before_ts: int) -> None:
        """Forget what only snapshots older than `before_ts` can see."""
        self.min_ts = max(self.min_ts, before_ts)
        while self._superseded and self._superseded[0][0] <= before_ts:
            _, index_id, key = self._superseded.popleft()
            self._prune_key(self._indexes[index_id], key, before_ts)

    def check_invariants(self) -> None:
        """Raise AssertionError if a key's versions are not strictly ascending, or are none."""
        for index in self._indexes.values():
            for versions in index.values():
                assert versions
                assert all(a.ts < b.ts for a, b in pairwise(versions))

    def _apply_index_row(self, row: IndexRow) -> None:
        document = None
        if not row.is_deleted:
            document = self._documents[row.tablet_id, row.internal_id, row.ts]
        index = self._indexes.get(row.index_id)
        if index is None:
            index = self._indexes[row.index_id] = SortedDict()
        versions = index.setdefault(row.key, [])
        place = bisect_right(versions, row.ts, key=_version_ts)
        if place > 0 and versions[place - 1].ts == row.ts:
            versions[place - 1] = _Version(row.ts, document, row)
            return
        versions.insert(place, _Version(row.ts, document, row))
        if not self._keeps_history and (len(versions) > 1 or document is None):
            self._superseded.append((row.ts, row.index_id, row.key))

    def _expire_index_row(self, expired: IndexRowKey) -> None:
        index = self._indexes.get(expired.index_id, {})
        versions = index.get(expired.key, [])
        versions[:] = [version for version in versions if version.ts != expired.ts]
        if not versions:
            index.pop(expired.key, None)

    @staticmethod
    def _prune_key(index: SortedDict[bytes, list[_Version]], key: bytes, before_ts: int) -> None:
        versions = index.get(key)
        if versions is None:
            return
        newest_visible = bisect_right(versions, before_ts, key=_version_ts) - 1
        if newest_visible > 0:
            del versions[:newest_visible]
        if len(versions) == 1 and versions[0].document is None and versions[0].ts <= before_ts:
            del index[key]


def _version_at(versions: list[_Version], ts: int) -> _Version | None:
    if versions[-1].ts <= ts:
        return versions[-1]
    place = bisect_right(versions, ts, key=_version_ts)
    return versions[place - 1] if place else None
