"""The writes of one index against a list that is searched from its beginning."""

from __future__ import annotations

import random

import pytest

from fenchel.database.index_write_log import IndexWriteLog
from fenchel.database.read_set import IndexWrite, touches
from fenchel.documents import IntervalSet, Timestamp, key_interval, prefix_interval


def drawn_write(source: random.Random, ts: int) -> IndexWrite:
    keys = [bytes([source.randrange(40), source.randrange(8)]) for _ in range(2)]
    old_key, new_key = source.choice(((keys[0], None), (None, keys[0]), (keys[0], keys[1])))
    return IndexWrite(Timestamp(ts), old_key, new_key, b"t" * 16, b"d" * 16, None)


def drawn_intervals(source: random.Random) -> IntervalSet:
    """Points and ranges; some sets are larger than the runs of the log."""
    intervals = IntervalSet()
    for _ in range(source.choice((1, 1, 3, 300))):
        key = bytes([source.randrange(40), source.randrange(8)])
        is_point = source.random() < 0.7
        intervals.add(key_interval(key) if is_point else prefix_interval(key[:1]))
    return intervals


class Model:
    def __init__(self) -> None:
        self.writes: list[IndexWrite] = []

    def first_overlap(
        self, intervals: IntervalSet, after_ts: int, through_ts: int
    ) -> IndexWrite | None:
        for write in self.writes:
            if after_ts < write.ts <= through_ts and touches(intervals, write):
                return write
        return None


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_what_a_search_from_the_beginning_finds(seed: int) -> None:
    source, log, model, ts = random.Random(seed), IndexWriteLog(), Model(), 0
    for _ in range(250):
        ts += source.randint(1, 3)
        writes = [drawn_write(source, ts) for _ in range(source.choice((1, 1, 2, 20, 400)))]
        log.extend(writes)
        model.writes += writes
        chance = source.random()
        if chance < 0.05:
            bound = source.randint(0, ts)
            log.trim(Timestamp(bound))
            model.writes = [write for write in model.writes if write.ts > bound]
        elif chance < 0.1:
            ts = source.randint(max(0, ts - 10), ts)
            log.discard_after(Timestamp(ts))
            model.writes = [write for write in model.writes if write.ts <= ts]
        log.check_invariants()
        after, through = sorted(source.choices(range(max(0, ts - 60), ts + 2), k=2))
        intervals = drawn_intervals(source)
        found = log.first_overlap(
            intervals, after_ts=Timestamp(after), through_ts=Timestamp(through)
        )
        expected = model.first_overlap(intervals, after, through)
        # Of the writes of one commit any may be named.
        assert (found and found.ts) == (expected and expected.ts)
        assert bool(log) == bool(model.writes)
