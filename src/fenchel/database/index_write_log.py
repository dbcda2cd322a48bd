"""The recent writes of one index, in the order of commits and searchable by key.

A commit check asks for the first write since a timestamp that touches some intervals. Most read
sets hold points, which one look at `_newest` excludes, and few ranges, for which a run of writes is
passed by with one search in its sorted keys.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Final

from fenchel.database.read_set import IndexWrite, touches
from fenchel.documents import IntervalSet, Timestamp

_RUN_LENGTH: Final = 128
# What a write takes beside its keys: references, timestamp, place in the search by key.
_WRITE_OVERHEAD_BYTES: Final = 240
# What `is_quiet` looks at: about as long as loading a page takes.
_QUIET_RUNS_MAX: Final = 8


def keys_of(write: IndexWrite) -> Iterator[bytes]:
    """The keys whose content the write changes: one or two."""
    if write.old_key is not None:
        yield write.old_key
    if write.new_key is not None and write.new_key != write.old_key:
        yield write.new_key


class _Run:
    """Consecutive writes. `keys` starts None; once the run is full and asked, their sorted keys.

    They may name keys of writes that are forgotten already, which costs only a useless look.
    """

    __slots__ = ("keys", "writes")

    def __init__(self, writes: list[IndexWrite]) -> None:
        self.writes = writes
        self.keys: list[bytes] | None = None

    def may_touch(self, intervals: IntervalSet) -> bool:
        """False only if no write of the run touches an interval."""
        if len(self.writes) < _RUN_LENGTH and self.keys is None:
            return True
        if len(intervals) > _RUN_LENGTH:
            return True
        if self.keys is None:
            self.keys = sorted(key for write in self.writes for key in keys_of(write))
        keys = self.keys
        for start, end in intervals:
            place = bisect_left(keys, start)
            if place < len(keys) and (end is None or keys[place] < end):
                return True
        return False


def _write_ts(write: IndexWrite) -> Timestamp:
    return write.ts


def _last_ts(run: _Run) -> Timestamp:
    return run.writes[-1].ts


class IndexWriteLog:
    """Invariant: timestamps ascend through all runs, none of which is empty; all but the first and
    the last have the full length. `_newest` has the newest timestamp of each written key."""

    __slots__ = ("_newest", "_runs")

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._newest: dict[bytes, Timestamp] = {}

    def __bool__(self) -> bool:
        return bool(self._runs)

    @property
    def last_ts(self) -> Timestamp:
        """Of the newest write; there must be one."""
        return self._runs[-1].writes[-1].ts

    @property
    def first_ts(self) -> Timestamp:
        """Of the oldest write; there must be one."""
        return self._runs[0].writes[0].ts

    def extend(self, writes: Sequence[IndexWrite]) -> int:
        """Add the writes of a commit that is newer than all others. Returns the bytes they take."""
        self._add_to_runs(writes)
        newest = self._newest
        size_bytes = _WRITE_OVERHEAD_BYTES * len(writes)
        for write in writes:
            ts, old_key, new_key = write.ts, write.old_key, write.new_key
            if old_key is not None:
                newest[old_key] = ts
                size_bytes += len(old_key)
            if new_key is not None:
                newest[new_key] = ts
                size_bytes += len(new_key)
        return size_bytes

    def first_overlap(
        self, intervals: IntervalSet, *, after_ts: Timestamp, through_ts: Timestamp
    ) -> IndexWrite | None:
        """The earliest write in (after_ts, through_ts] that touches the intervals.

        Cost: the points, and for each run since `after_ts` the ranges times log(length of a run);
        at most one comparison with each write.
        """
        rest = self._without_quiet_points(intervals, after_ts)
        if rest is None:
            return None
        first = bisect_right(self._runs, after_ts, key=_last_ts)
        for run in islice(self._runs, first, None):
            if run.writes[0].ts > through_ts:
                break
            if not run.may_touch(rest):
                continue
            for write in run.writes:
                if after_ts < write.ts <= through_ts and touches(rest, write):
                    return write
        return None

    def is_quiet(
        self, intervals: IntervalSet, *, after_ts: Timestamp, through_ts: Timestamp
    ) -> bool:
        """Whether surely no write in (after_ts, through_ts] touches the intervals; False, too, if
        there were so many writes that it takes long to tell.
        """
        if self.last_ts <= after_ts:
            return True
        first = bisect_right(self._runs, after_ts, key=_last_ts)
        if len(self._runs) - first > _QUIET_RUNS_MAX:
            return False
        for run in islice(self._runs, first, None):
            if not run.may_touch(intervals):
                continue
            writes = run.writes
            for place in range(bisect_right(writes, after_ts, key=_write_ts), len(writes)):
                if writes[place].ts > through_ts:
                    return True
                if touches(intervals, writes[place]):
                    return False
        return True

    def discard_after(self, ts: Timestamp) -> None:
        """Remove the writes behind `ts`."""
        while self._runs and self.last_ts > ts:
            writes = self._runs[-1].writes
            del writes[bisect_right(writes, ts, key=_write_ts) :]
            # What comes next fills the run up again, so its keys are not final.
            self._runs[-1].keys = None
            if not writes:
                self._runs.pop()
        self._newest = {
            key: write.ts for run in self._runs for write in run.writes for key in keys_of(write)
        }

    def trim(self, through_ts: Timestamp) -> None:
        """Forget the writes up to `through_ts`."""
        done = 0
        for run in self._runs:
            place = bisect_right(run.writes, through_ts, key=_write_ts)
            for write in run.writes[:place]:
                self._forget(write)
            del run.writes[:place]
            if run.writes:
                break
            done += 1
        del self._runs[:done]

    def check_invariants(self) -> None:
        writes = [write for run in self._runs for write in run.writes]
        assert all(run.writes for run in self._runs)
        assert all(len(run.writes) == _RUN_LENGTH for run in self._runs[1:-1])
        assert all(a.ts <= b.ts for a, b in pairwise(writes))
        assert self._newest == {key: write.ts for write in writes for key in keys_of(write)}
        for run in self._runs:
            keys = {key for write in run.writes for key in keys_of(write)}
            assert run.keys is None or keys.issubset(run.keys)

    def _add_to_runs(self, writes: Sequence[IndexWrite]) -> None:
        done = 0
        if self._runs and self._runs[-1].keys is None:
            last = self._runs[-1].writes
            done = _RUN_LENGTH - len(last)
            if done >= len(writes):
                last.extend(writes)
                return
            last.extend(writes[:done])
        for place in range(done, len(writes), _RUN_LENGTH):
            self._runs.append(_Run(list(writes[place : place + _RUN_LENGTH])))

    def _without_quiet_points(
        self, intervals: IntervalSet, after_ts: Timestamp
    ) -> IntervalSet | None:
        """What to look for in the runs, unless that would take longer than looking for all."""
        if len(intervals) >= _RUN_LENGTH:
            first = bisect_right(self._runs, after_ts, key=_last_ts)
            if len(intervals) >= _RUN_LENGTH * (len(self._runs) - first):
                return intervals
        return intervals.without_quiet_points(self._newest, after_ts)

    def _forget(self, write: IndexWrite) -> None:
        newest = self._newest
        for key in (write.old_key, write.new_key):
            if key is not None and newest.get(key) == write.ts:
                del newest[key]
