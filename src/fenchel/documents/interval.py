"""Half-open ranges of keys and sets of them: what a query scans and what a transaction has read.

Half-open ranges with one infinity need no special cases: touching ranges merge, a single key `k` is
`[k, k + 00)`, everything is `[empty, None)`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Interval(NamedTuple):
    """Byte strings `k` with `start <= k < end`; `end` None means no upper end."""

    start: bytes
    end: bytes | None

    @property
    def is_empty(self) -> bool:
        return self.end is not None and self.end <= self.start

    @property
    def is_point(self) -> bool:
        """Whether it holds one key and nothing else: `[k, k + 00)`."""
        return _is_point(self.start, self.end)

    def contains(self, key: bytes) -> bool:
        return self.start <= key and (self.end is None or key < self.end)

    def intersection(self, other: Interval) -> Interval:
        """The keys in both; possibly empty."""
        if self.end is None or (other.end is not None and other.end < self.end):
            end = other.end
        else:
            end = self.end
        return Interval(max(self.start, other.start), end)


def _is_point(start: bytes, end: bytes | None) -> bool:
    return end is not None and len(end) == len(start) + 1 and end == start + b"\x00"


ALL_KEYS = Interval(b"", None)


def prefix_interval(prefix: bytes) -> Interval:
    """All keys that continue `prefix`, a concatenation of complete sort keys (possibly none)."""
    return Interval(prefix, after_prefix(prefix))


def after_prefix(prefix: bytes) -> bytes | None:
    """First key beyond all continuations of `prefix`; None if there is none.

    Each continuation starts with a tag below ff. Counting up the last byte, as the reference does,
    would let `eq("a")` match strings beginning with `a\\0` (database specification 4.4).
    """
    return prefix + b"\xff" if prefix else None


def key_interval(key: bytes) -> Interval:
    """Just `key`."""
    return Interval(key, key + b"\x00")


class IntervalSet:
    """Union of intervals. Invariant: ascending, none empty, a gap between any two."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        # Both ascending and equally long; only the last end may be None.
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []

    def add(self, interval: Interval) -> None:
        """Cost: log(n) to find the place, and merging what the interval touches."""
        start, end = interval
        if end is not None and end <= start:
            return
        if not self._starts or (self._ends[-1] is not None and self._ends[-1] < start):
            # Behind all others: scans and first reads.
            self._starts.append(start)
            self._ends.append(end)
            return
        # Members [first, last) touch the interval: they end at or after its start, start at or
        # before its end.
        first = self._first_ending_from(start)
        last = len(self._starts) if end is None else bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            last_end = self._ends[last - 1]
            end = None if end is None or last_end is None else max(end, last_end)
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def contains(self, key: bytes) -> bool:
        position = bisect_right(self._starts, key) - 1
        if position < 0:
            return False
        end = self._ends[position]
        return end is None or key < end

    def overlaps(self, interval: Interval) -> bool:
        """True if some key is in both."""
        if interval.is_empty:
            return False
        last = (
            len(self._starts) if interval.end is None else bisect_left(self._starts, interval.end)
        )
        if last == 0:
            return False
        end = self._ends[last - 1]
        return end is None or interval.start < end

    def without_quiet_points(self, newest: Mapping[bytes, int], ts: int) -> IntervalSet | None:
        """The members but for the single keys whose `newest` is missing or at most `ts`; None if
        nothing is left."""
        rest: IntervalSet | None = None
        for start, end in zip(self._starts, self._ends, strict=True):
            if newest.get(start, ts) > ts or not _is_point(start, end):
                rest = rest or IntervalSet()
                rest._starts.append(start)
                rest._ends.append(end)
        return rest

    def copy(self) -> IntervalSet:
        other = IntervalSet.__new__(IntervalSet)
        other._starts, other._ends = self._starts.copy(), self._ends.copy()
        return other

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Interval]:
        return map(Interval, self._starts, self._ends)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntervalSet):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"IntervalSet({list(self)!r})"

    def check_invariants(self) -> None:
        assert len(self._starts) == len(self._ends)
        for position, interval in enumerate(self):
            assert not interval.is_empty
            if position + 1 < len(self):
                assert interval.end is not None
                assert interval.end < self._starts[position + 1]

    def _first_ending_from(self, key: bytes) -> int:
        """Position of the first member whose end is at or after `key`."""
        position = bisect_right(self._starts, key)
        if position > 0:
            end = self._ends[position - 1]
            if end is None or end >= key:
                return position - 1
        return position
