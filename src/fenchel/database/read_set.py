"""What a transaction has seen: per index, the key intervals whose content its result depends on.

The one predicate of the room stands here: a write touches a read set if its old or new key lies in
an interval. Conflicts and token refreshes ask it through the commit log; subscriptions ask the same
question for many read sets at once through interval maps.
"""

from __future__ import annotations

from collections.abc import ItemsView

import msgspec

from fenchel.documents import Interval, IntervalSet, Timestamp


class IndexWrite(msgspec.Struct, frozen=True, gc=False):
    """What one written document did to one index at `ts`. At least one of the keys is given.

    An update that keeps its key has twice the same key: its content changed all the same.
    """

    ts: Timestamp
    old_key: bytes | None
    new_key: bytes | None
    tablet_id: bytes
    internal_id: bytes
    write_source: str | None


def touches(intervals: IntervalSet, write: IndexWrite) -> bool:
    """Whether the write changes something inside the intervals of its index."""
    old_key, new_key = write.old_key, write.new_key
    if old_key is not None and intervals.contains(old_key):
        return True
    return new_key is not None and new_key != old_key and intervals.contains(new_key)


class ReadSet:
    """Disjoint, merged intervals by index id. Only `record` and `merge` may let it grow.

    `user_interval_count` counts the intervals on user tables, which are limited; what the system
    looks up on the way is not (database specification 7.2).

    Copies and merged sets share their members until one of them grows: `_shared` names the indexes
    whose member belongs to others too and must be copied first.
    """

    def __init__(self) -> None:
        self._intervals: dict[bytes, IntervalSet] = {}
        self._shared: set[bytes] = set()
        self.user_interval_count = 0
        self._is_frozen = False

    def record(self, index_id: bytes, interval: Interval, *, is_user: bool) -> None:
        """Add a dependency on everything that is, or is not, in the interval of the index."""
        assert not self._is_frozen, "a read after the token was taken"
        intervals = self._own(index_id)
        if not is_user:
            intervals.add(interval)
            return
        count_before = len(intervals)
        intervals.add(interval)
        self.user_interval_count += len(intervals) - count_before

    def merge(self, other: ReadSet) -> None:
        """Add all dependencies of a set that has none on user tables and will not grow."""
        assert other._is_frozen, "a set that may grow cannot be shared"
        assert not self._is_frozen, "a read after the token was taken"
        assert other.user_interval_count == 0, "reads of user tables are limited one by one"
        for index_id, intervals in other.items():
            if index_id not in self._intervals:
                self._intervals[index_id] = intervals
                self._shared.add(index_id)
                continue
            own = self._own(index_id)
            for interval in intervals:
                own.add(interval)

    def copy(self) -> ReadSet:
        """An independent set with the same dependencies."""
        other = ReadSet()
        other.restore(self)
        return other

    def restore(self, earlier: ReadSet) -> None:
        """Be as a copy that was taken earlier: what was read since then decided nothing."""
        assert not self._is_frozen, "a read was taken back after the token was taken"
        self._intervals = earlier._intervals.copy()
        self._shared = set(self._intervals)
        earlier._shared = set(self._intervals)
        self.user_interval_count = earlier.user_interval_count

    def freeze(self) -> None:
        """No more reads: somebody relies on this set now."""
        self._is_frozen = True

    def items(self) -> ItemsView[bytes, IntervalSet]:
        return self._intervals.items()

    def _own(self, index_id: bytes) -> IntervalSet:
        """The index's intervals, which nobody else has."""
        intervals = self._intervals.get(index_id)
        if intervals is None:
            intervals = self._intervals[index_id] = IntervalSet()
        elif index_id in self._shared:
            self._shared.remove(index_id)
            intervals = self._intervals[index_id] = intervals.copy()
        return intervals

    def check_invariants(self) -> None:
        assert self._shared <= self._intervals.keys()
        for intervals in self._intervals.values():
            intervals.check_invariants()


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A promise: what was computed from `reads` is right at `ts`."""

    reads: ReadSet
    ts: Timestamp
