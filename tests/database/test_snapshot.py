"""Snapshots that outlive what memory keeps (database specification 8.2, invariant 16)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fenchel.database import Database
from fenchel.errors import FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from tests.database.helpers import insert, query, scan

SECOND = 1_000_000_000


class StepClock:
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0

    def now_ns(self) -> int:
        return 1_700_000_000 * SECOND + self.seconds * SECOND

    def monotonic(self) -> float:
        return float(self.seconds)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture
async def database(clock: StepClock) -> AsyncIterator[Database]:
    settings = Settings(database=DatabaseSettings(commit_log_seconds_max=10.0))
    opened = await Database.open(MemoryPersistence(), Runtime(clock=clock, settings=settings))
    await insert(opened, "items", {"n": 1.0})
    yield opened
    opened.check_invariants()
    await opened.close()


async def let_history_end(database: Database, clock: StepClock) -> None:
    for number in (2.0, 3.0):
        clock.seconds += 20
        await insert(database, "items", {"n": number})


async def test_a_slow_transaction_never_sees_a_count_of_another_time(
    database: Database, clock: StepClock
) -> None:
    tx = database.begin()
    await let_history_end(database, clock)
    assert await query(tx, scan("items")) == [1.0]
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
