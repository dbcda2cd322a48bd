"""What does a conflict check cost when 10,000 commits have happened since the transaction began?

The committer does it for each commit, one after the other, and each refresh of a token does it.
`own` reads what the commits wrote to, but other keys of it; `other` a table that nobody wrote to.
"""

# Estimate: without an order by key each write since then is compared, 0.5 µs each: 5 ms, far too
# much for the one committer; with the writes sorted by key a point costs one search in each sorted
# run, 10 to 40 µs with 10,000 commits, and nothing when no commit wrote to the index.

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from benchmarks.engine.plan import EnginePlan, Work, compare
from benchmarks.rounds import Measurement
from fenchel.database.commit_log import CommitLog
from fenchel.database.read_set import IndexWrite, ReadSet
from fenchel.documents import Interval, Timestamp, key_interval, prefix_interval
from fenchel.runtime.settings import DatabaseSettings
from fenchel.values import encode_sort_key

COMMIT_COUNT = 10_000
_OWN, _OTHER = b"own index", b"other index"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    name: str
    index_id: bytes
    intervals: tuple[Interval, ...]


async def measure(plan: EnginePlan) -> list[Measurement]:
    """CPU time of one check of reads that conflict with nothing."""
    few = replace(plan, operations=plan.operations // 20)
    log = _filled_log()
    points = tuple(key_interval(_key(-1 - place)) for place in range(100))
    group = prefix_interval(encode_sort_key("nobody's group"))
    measurements: list[Measurement] = []
    for case in (
        _Case(name="own.1_point", index_id=_OWN, intervals=points[:1]),
        _Case(name="own.100_points", index_id=_OWN, intervals=points),
        _Case(name="own.1_range", index_id=_OWN, intervals=(group,)),
        _Case(name="other.100_points", index_id=_OTHER, intervals=points),
    ):
        works = {"fenchel": _checking(log, case)}
        measurements += await compare(few, f"conflict_check.{case.name}", works)
    return measurements


def _filled_log() -> CommitLog:
    """Each commit updates one of 5,000 documents, in three indexes."""
    log = CommitLog(Timestamp(0), DatabaseSettings())
    source = random.Random(1)
    for ts in range(1, COMMIT_COUNT + 1):
        key = _key(source.randrange(5_000))
        write = IndexWrite(Timestamp(ts), key, key, b"tablet", b"document", None)
        log.append(Timestamp(ts), {_OWN: [write], b"second": [write], b"third": [write]})
    return log


def _key(number: int) -> bytes:
    return encode_sort_key(f"group {number % 50}") + encode_sort_key(float(number))


def _checking(log: CommitLog, case: _Case) -> Work:
    reads = ReadSet()
    for interval in case.intervals:
        reads.record(case.index_id, interval, is_user=True)
    end = Timestamp(COMMIT_COUNT)

    async def work(count: int) -> None:
        for _ in range(count):
            found = log.first_overlap(reads, after_ts=Timestamp(0), through_ts=end)
            assert found is None

    return work
