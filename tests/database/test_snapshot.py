"""Snapshots that outlive what is kept, and sums of tables at every retained timestamp.

Source: database specification 8.2 and 9.4, invariant 16.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.database import Database, Retention
from fenchel.database.snapshot import TableCounts
from fenchel.documents import Timestamp
from fenchel.errors import FenchelError
from fenchel.persistence import MemoryPersistence, SummaryRow
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from tests.database.helpers import insert, query, scan

SECOND = 1_000_000_000
TABLET = b"t" * 16


class StepClock:
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0

    def now_ns(self) -> int:
        return 1_700_000_000 * SECOND + self.seconds * SECOND

    def monotonic(self) -> float:
        return float(self.seconds)

    async def sleep(self, seconds: float) -> None:
        assert seconds == 0, "nothing waits here"


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture
async def database(clock: StepClock) -> AsyncIterator[Database]:
    settings = Settings(database=DatabaseSettings(snapshot_retention_seconds=10.0))
    opened = await Database.open(MemoryPersistence(), Runtime(clock=clock, settings=settings))
    await insert(opened, "items", {"n": 1.0})
    yield opened
    opened.check_invariants()
    await opened.close()


async def let_history_end(database: Database, clock: StepClock) -> None:
    for number in (2.0, 3.0):
        clock.seconds += 20
        await insert(database, "items", {"n": number})
    await (await Retention.load(database)).run_round()


async def test_a_slow_transaction_never_sees_a_count_of_another_time(
    database: Database, clock: StepClock
) -> None:
    tx = database.begin()
    await let_history_end(database, clock)
    with pytest.raises(FenchelError) as caught:
        await query(tx, scan("items"))
    assert caught.value.code == "OutOfRetention"
    with pytest.raises(FenchelError) as caught:
        await tx.user().count("items")
    assert caught.value.code == "OutOfRetention"


async def test_a_slow_transaction_never_sees_system_tables_of_another_time(
    database: Database, clock: StepClock
) -> None:
    tx = database.begin()
    await let_history_end(database, clock)
    with pytest.raises(FenchelError) as caught:
        await tx.system().query("_modules", "by_path", ["a.js"])
    assert caught.value.code == "OutOfRetention"


async def test_a_count_in_time_is_right(database: Database, clock: StepClock) -> None:
    tx = database.begin()
    await insert(database, "items", {"n": 2.0})
    assert await tx.user().count("items") == 1


@given(steps=st.lists(st.integers(1, 5), min_size=1, max_size=20), before_ts=st.integers(0, 120))
def test_pruning_changes_no_sum_from_its_timestamp_on(steps: list[int], before_ts: int) -> None:
    counts, expected, ts = TableCounts([], Timestamp(0)), {0: (0, 0)}, 0
    for count, step in enumerate(steps, start=1):
        ts += step
        counts.append(Timestamp(ts), TABLET, count, 10 * count)
        expected[ts] = (count, 10 * count)
    counts.prune(Timestamp(before_ts))
    for at in range(before_ts, ts + 5):
        newest = max(known for known in expected if known <= at)
        assert counts.at(TABLET, Timestamp(at)) == expected[newest]


def test_stored_sums_are_those_of_the_opened_snapshot() -> None:
    counts = TableCounts([SummaryRow(TABLET, 3, 30)], Timestamp(10))
    assert counts.at(TABLET, Timestamp(9)) == (0, 0)
    assert counts.at(TABLET, Timestamp(10)) == (3, 30)
    assert counts.at(b"u" * 16, Timestamp(10)) == (0, 0)
