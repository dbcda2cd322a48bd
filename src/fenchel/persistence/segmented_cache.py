"""A bounded cache that one pass over everything does not empty.

New entries must be found once more to be kept for long: exports, imports and fillings of indexes,
which touch each document once, push out only what came lately and was not used again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

Key = TypeVar("Key")
Entry = TypeVar("Entry")

# The share that entries which were found again may take; the rest is always there for new ones.
_KEPT_SHARE: Final = 0.8


class SegmentedCache(Generic[Key, Entry]):
    """Least recently used go first: of the new entries, then of the kept ones.

    `add` puts an entry among the new, the next `find` among the kept; a kept one that was not used
    for longest becomes new again when their share is used up. Invariant: `_weight` is the sum of
    all weights, at most the limit; `_kept_weight` that of the kept, at most their share.
    """

    def __init__(self, weight_max: int) -> None:
        self._weight_max = weight_max
        self._kept_weight_max = int(weight_max * _KEPT_SHARE)
        self._new: OrderedDict[Key, tuple[Entry, int]] = OrderedDict()
        self._kept: OrderedDict[Key, tuple[Entry, int]] = OrderedDict()
        self._weight = 0
        self._kept_weight = 0

    def find(self, key: Key) -> Entry | None:
        """The entry, which counts as used now."""
        held = self._kept.get(key)
        if held is not None:
            self._kept.move_to_end(key)
            return held[0]
        held = self._new.pop(key, None)
        if held is None:
            return None
        self._keep(key, held)
        return held[0]

    def peek(self, key: Key) -> Entry | None:
        """The entry, which does not count as used."""
        held = self._kept.get(key) or self._new.get(key)
        return None if held is None else held[0]

    def add(self, key: Key, entry: Entry, weight: int) -> list[Entry]:
        """Put an entry in, or in the place of an older one; those that had to go for it."""
        held = (entry, weight)
        if key in self._kept:
            gain = weight - self._kept[key][1]
            self._kept[key] = held
            self._kept_weight += gain
            self._weight += gain
            self._demote()
        else:
            before = self._new.get(key)
            self._new[key] = held
            self._weight += weight - (0 if before is None else before[1])
        return self._evict() if self._weight > self._weight_max else []

    def remove(self, key: Key) -> None:
        """Forget the entry, if it is there."""
        held = self._kept.pop(key, None)
        if held is not None:
            self._kept_weight -= held[1]
        else:
            held = self._new.pop(key, None)
        if held is not None:
            self._weight -= held[1]

    def check_invariants(self) -> None:
        kept_weight = sum(weight for _, weight in self._kept.values())
        total = kept_weight + sum(weight for _, weight in self._new.values())
        assert (self._kept_weight, self._weight) == (kept_weight, total)
        assert kept_weight <= self._kept_weight_max
        assert total <= self._weight_max
        assert not self._kept.keys() & self._new.keys()

    def _keep(self, key: Key, held: tuple[Entry, int]) -> None:
        self._kept[key] = held
        self._kept_weight += held[1]
        if self._kept_weight > self._kept_weight_max:
            self._demote()

    def _demote(self) -> None:
        while self._kept_weight > self._kept_weight_max:
            key, held = self._kept.popitem(last=False)
            self._kept_weight -= held[1]
            self._new[key] = held

    def _evict(self) -> list[Entry]:
        evicted = []
        while self._weight > self._weight_max:
            if self._new:
                _, (entry, weight) = self._new.popitem(last=False)
            else:
                _, (entry, weight) = self._kept.popitem(last=False)
                self._kept_weight -= weight
            self._weight -= weight
            evicted.append(entry)
        return evicted
