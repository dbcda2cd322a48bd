"""The recent commits in memory, by index: what conflict checks and token refreshes search.

Only keys are kept, no documents. The committer appends; everybody else asks `first_overlap`.
Source: database specification 8.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from fenchel.database.index_write_log import IndexWriteLog
from fenchel.database.read_set import IndexWrite, ReadSet
from fenchel.documents import IntervalSet, Timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime.settings import DatabaseSettings

_NANOSECONDS = 1_000_000_000


class _Commit(msgspec.Struct, frozen=True):
    ts: Timestamp
    size_bytes: int
    index_ids: tuple[bytes, ...]


class CommitLog:
    """Index writes of all commits after `start_ts`.

    Invariant: no log of an index is empty, and none holds a write at or before `start_ts`.
    """

    def __init__(self, start_ts: Timestamp, settings: DatabaseSettings) -> None:
        self.start_ts = start_ts
        self._settings = settings
        self._by_index: dict[bytes, IndexWriteLog] = {}
        self._commits: deque[_Commit] = deque()
        self._size_bytes = 0

    def append(self, ts: Timestamp, writes: Mapping[bytes, Sequence[IndexWrite]]) -> None:
        """Add the commit at `ts`, which is newer than all others.

        One without writes needs no entry, and must not let older tokens run out of retention.
        """
        assert ts > (self._commits[-1].ts if self._commits else self.start_ts)
        if not writes:
            return
        size_bytes = 0
        for index_id, index_writes in writes.items():
            log = self._by_index.get(index_id)
            if log is None:
                log = self._by_index[index_id] = IndexWriteLog()
            size_bytes += log.extend(index_writes)
        self._commits.append(_Commit(ts, size_bytes, tuple(writes)))
        self._size_bytes += size_bytes

    def discard_after(self, ts: Timestamp) -> None:
        """Remove the commits behind `ts`: they were not stored."""
        index_ids: set[bytes] = set()
        while self._commits and self._commits[-1].ts > ts:
            commit = self._commits.pop()
            self._size_bytes -= commit.size_bytes
            index_ids.update(commit.index_ids)
        for index_id in index_ids:
            log = self._by_index[index_id]
            log.discard_after(ts)
            if not log:
                del self._by_index[index_id]

    def first_overlap(
        self, reads: ReadSet, *, after_ts: Timestamp, through_ts: Timestamp
    ) -> IndexWrite | None:
        """The earliest write in (after_ts, through_ts] that touches `reads`.

        Cost: that of `IndexWriteLog.first_overlap` for each index that was read and written to.
        Raises: OutOfRetention if the log no longer reaches back to `after_ts`.
        """
        if after_ts >= through_ts:
            return None
        if after_ts < self.start_ts:
            raise out_of_retention(after_ts)
        found: IndexWrite | None = None
        for index_id, intervals in reads.items():
            log = self._by_index.get(index_id)
            if log is None or log.last_ts <= after_ts:
                continue
            earlier = log.first_overlap(intervals, after_ts=after_ts, through_ts=through_ts)
            if earlier is not None:
                found, through_ts = earlier, Timestamp(earlier.ts - 1)
        return found

    def is_quiet(
        self,
        index_id: bytes,
        intervals: IntervalSet,
        *,
        after_ts: Timestamp,
        through_ts: Timestamp,
    ) -> bool:
        """Whether surely no write in (after_ts, through_ts] touches the intervals of the index.

        Cheap: it gives up where looking would cost more than loading the intervals again.
        """
        if after_ts < self.start_ts:
            return False
        log = self._by_index.get(index_id)
        return log is None or log.is_quiet(intervals, after_ts=after_ts, through_ts=through_ts)

    def trim(
        self, now_ns: int, *, through_ts: Timestamp | None = None, bytes_max: int | None = None
    ) -> bool:
        """Forget what is too old, or old enough in a log that is too large; of that, nothing after
        `through_ts`, and the oldest `bytes_max` or a commit more. Returns whether there is more to
        forget."""
        rest_bytes = self._size_bytes if bytes_max is None else bytes_max
        stale_index_ids: set[bytes] = set()
        while rest_bytes > 0 and self._is_first_due(now_ns, through_ts):
            commit = self._commits.popleft()
            rest_bytes -= commit.size_bytes
            self._size_bytes -= commit.size_bytes
            self.start_ts = commit.ts
            stale_index_ids.update(commit.index_ids)
        for index_id in stale_index_ids:
            self._trim_index(index_id)
        return self._is_first_due(now_ns, through_ts)

    def check_invariants(self) -> None:
        for log in self._by_index.values():
            assert log
            assert log.first_ts > self.start_ts
            log.check_invariants()
        assert self._size_bytes == sum(commit.size_bytes for commit in self._commits)

    def _is_first_due(self, now_ns: int, through_ts: Timestamp | None) -> bool:
        if not self._commits:
            return False
        settings, ts = self._settings, self._commits[0].ts
        if through_ts is not None and ts > through_ts:
            return False
        is_large = self._size_bytes >= settings.commit_log_bytes_max
        seconds = settings.commit_log_seconds_min if is_large else settings.commit_log_seconds_max
        return ts < now_ns - int(seconds * _NANOSECONDS)

    def _trim_index(self, index_id: bytes) -> None:
        log = self._by_index[index_id]
        log.trim(self.start_ts)
        if not log:
            del self._by_index[index_id]


def out_of_retention(ts: Timestamp) -> FenchelError:
    """The snapshot or token is older than what is kept; start again at a newer one (HTTP 503)."""
    return FenchelError(
        ErrorKind.OUT_OF_RETENTION,
        "OutOfRetention",
        f"The snapshot at timestamp {ts} is no longer retained. Run the function again.",
    )
