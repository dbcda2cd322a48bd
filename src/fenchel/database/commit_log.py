"""The recent commits in memory, by index: what conflict checks and token refreshes search.

Only keys are kept, no documents. The committer appends; everybody else asks `first_overlap`.
Source: database specification 8.2.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from fenchel.database.read_set import IndexWrite, ReadSet, touches
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime.settings import DatabaseSettings

_NANOSECONDS = 1_000_000_000
# Rough size of an entry's tuple, references and timestamp beside its keys.
_ENTRY_OVERHEAD_BYTES = 120


class _Commit(NamedTuple):
    ts: Timestamp
    size_bytes: int
    index_ids: tuple[bytes, ...]


def _write_ts(write: IndexWrite) -> Timestamp:
    return write.ts


class CommitLog:
    """Index writes of all commits after `start_ts`.

    Invariant: per index, writes ascend by timestamp, and none is at or before `start_ts`.
    """

    def __init__(self, start_ts: Timestamp, settings: DatabaseSettings) -> None:
        self.start_ts = start_ts
        self._settings = settings
        self._by_index: dict[bytes, list[IndexWrite]] = {}
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
            self._by_index.setdefault(index_id, []).extend(index_writes)
            for write in index_writes:
                size_bytes += len(write.old_key or b"") + len(write.new_key or b"")
            size_bytes += _ENTRY_OVERHEAD_BYTES * len(index_writes)
        self._commits.append(_Commit(ts, size_bytes, tuple(writes)))
        self._size_bytes += size_bytes

    def discard_after(self, ts: Timestamp) -> None:
        """Remove the commits behind `ts`: they were not stored."""
        while self._commits and self._commits[-1].ts > ts:
            commit = self._commits.pop()
            self._size_bytes -= commit.size_bytes
            for index_id in commit.index_ids:
                writes = self._by_index[index_id]
                del writes[bisect_right(writes, ts, key=_write_ts) :]
        for index_id in [index_id for index_id, writes in self._by_index.items() if not writes]:
            del self._by_index[index_id]

    def first_overlap(
        self, reads: ReadSet, *, after_ts: Timestamp, through_ts: Timestamp
    ) -> IndexWrite | None:
        """The earliest write in (after_ts, through_ts] that touches `reads`.

        Cost: the writes in that time to the indexes that were read, times log(intervals).
        Raises: OutOfRetention if the log no longer reaches back to `after_ts`.
        """
        if after_ts >= through_ts:
            return None
        if after_ts < self.start_ts:
            raise out_of_retention(after_ts)
        found: IndexWrite | None = None
        for index_id, intervals in reads.items():
            writes = self._by_index.get(index_id)
            if writes is None or writes[-1].ts <= after_ts:
                continue
            for place in range(bisect_right(writes, after_ts, key=_write_ts), len(writes)):
                write = writes[place]
                if write.ts > through_ts or (found is not None and write.ts >= found.ts):
                    break
                if touches(intervals, write):
                    found = write
                    break
        return found

    def trim(self, now_ns: int) -> Timestamp:
        """Forget what is too old, or old enough in a log that is too large. Returns `start_ts`."""
        settings = self._settings
        always_before = now_ns - int(settings.commit_log_seconds_max * _NANOSECONDS)
        if_large_before = now_ns - int(settings.commit_log_seconds_min * _NANOSECONDS)
        stale_index_ids: set[bytes] = set()
        while self._commits and (
            self._commits[0].ts < always_before
            or (
                self._size_bytes >= settings.commit_log_bytes_max
                and self._commits[0].ts < if_large_before
            )
        ):
            commit = self._commits.popleft()
            self._size_bytes -= commit.size_bytes
            self.start_ts = commit.ts
            stale_index_ids.update(commit.index_ids)
        for index_id in stale_index_ids:
            self._trim_index(index_id)
        return self.start_ts

    def check_invariants(self) -> None:
        for writes in self._by_index.values():
            assert writes
            assert writes[0].ts > self.start_ts
            assert all(a.ts <= b.ts for a, b in pairwise(writes))
        assert self._size_bytes == sum(commit.size_bytes for commit in self._commits)

    def _trim_index(self, index_id: bytes) -> None:
        writes = self._by_index[index_id]
        del writes[: bisect_right(writes, self.start_ts, key=_write_ts)]
        if not writes:
            del self._by_index[index_id]


def out_of_retention(ts: Timestamp) -> FenchelError:
    """The snapshot or token is older than what is kept; start again at a newer one (HTTP 503)."""
    return FenchelError(
        ErrorKind.OUT_OF_RETENTION,
        "OutOfRetention",
        f"The snapshot at timestamp {ts} is no longer retained. Run the function again.",
    )
