"""Index pages that were loaded lately: most queries read the same few ranges again and again.

Source of truth stays the persistence. A page is given out only if the commit log says that nothing
in its part of the index has changed since it was loaded.
"""

from __future__ import annotations

from typing import NamedTuple

from fenchel.database.commit_log import CommitLog
from fenchel.database.types import passed_until
from fenchel.documents import Interval, IntervalSet, Timestamp
from fenchel.persistence import IndexPage, SegmentedCache, document_weight

# Longer pages come from walks over whole tables, which nobody repeats soon.
ROWS_MAX = 256
_ENTRY_OVERHEAD_BYTES = 1_000
_REVISION_OVERHEAD_BYTES = 200


class PageKey(NamedTuple):
    """What was asked for. A tuple, because it is made and hashed for every page."""

    index_id: bytes
    interval: Interval
    is_descending: bool
    limit: int


class _Entry:
    """A page that is right at every timestamp in [since_ts, ts]; `covered` is what it tells of."""

    __slots__ = ("covered", "page", "since_ts", "ts")

    def __init__(self, page: IndexPage, covered: IntervalSet, ts: Timestamp) -> None:
        self.page = page
        self.covered = covered
        self.since_ts = self.ts = ts


class IndexPages:
    """Bounded in bytes of memory, estimated: documents that other caches hold too count here."""

    def __init__(self, bytes_max: int, log: CommitLog) -> None:
        self._cache: SegmentedCache[PageKey, _Entry] = SegmentedCache(bytes_max)
        self._log = log

    def find(self, key: PageKey, ts: Timestamp) -> IndexPage | None:
        """The page as the snapshot at `ts` has it; None if that is not known here."""
        entry = self._cache.find(key)
        if entry is None or ts < entry.since_ts:
            return None
        if ts > entry.ts:
            if not self._log.is_quiet(
                key.index_id, entry.covered, after_ts=entry.ts, through_ts=ts
            ):
                return None
            entry.ts = ts
        return entry.page

    def add(self, key: PageKey, page: IndexPage, ts: Timestamp) -> None:
        """Keep what the snapshot at `ts` has, unless a newer page is known."""
        known = self._cache.peek(key)
        if key.limit > ROWS_MAX or (known is not None and known.since_ts > ts):
            return
        covered = IntervalSet()
        interval = key.interval
        if page.has_more:
            interval = passed_until(interval, page.revisions[-1].key, key.is_descending)
        covered.add(interval)
        weight = _ENTRY_OVERHEAD_BYTES + sum(
            [_REVISION_OVERHEAD_BYTES + document_weight(row.document) for row in page.revisions]
        )
        self._cache.add(key, _Entry(page, covered, ts), weight)

    def check_invariants(self) -> None:
        self._cache.check_invariants()
