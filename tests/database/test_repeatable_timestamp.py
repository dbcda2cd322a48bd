"""Time goes on without commits (database specification 9.3, 8.2)."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.database import Database, RepeatableTimestamp
from fenchel.documents import Timestamp
from fenchel.persistence import MemoryPersistence, NotStoredError, WriteBatch
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from fenchel.values import decode_json
from tests.database.helpers import insert, is_invalidated, query, scan


class SettableClock:
    """Wall and monotonic time that stand still; sleeping lets others run."""

    def __init__(self) -> None:
        self.seconds = 1_000_000_000.0

    def now_ns(self) -> int:
        return int(self.seconds) * 1_000_000_000

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


async def stored_ts(database: Database) -> int:
    ts = decode_json((await database.persistence.load_globals())["max_repeatable_ts"])
    assert isinstance(ts, int)
    return ts


async def test_a_bump_is_a_published_timestamp_that_changes_nothing(
    any_database: Database,
) -> None:
    await insert(any_database, "items", {"n": 1.0})
    tx = any_database.begin()
    assert await query(tx, scan("items")) == [1.0]
    waiter = asyncio.create_task(
        any_database.wait_for_ts(Timestamp(any_database.latest_ts() + 1)), name="waiter"
    )
    ts = await any_database.bump_repeatable_ts()
    await waiter
    assert any_database.latest_ts() == ts == await stored_ts(any_database) > tx.begin_ts
    assert not is_invalidated(any_database, tx)
    assert await query(any_database.begin(ts=ts), scan("items")) == [1.0]


async def test_later_commits_get_larger_timestamps_even_if_the_clock_goes_back() -> None:
    persistence, clock = MemoryPersistence(), SettableClock()
    database = await Database.open(persistence, Runtime(clock=clock))
    promised = await database.bump_repeatable_ts()
    await database.close()
    clock.seconds -= 3_600.0
    reopened = await Database.open(persistence, Runtime(clock=clock))
    assert reopened.latest_ts() > promised
    await reopened.close()


async def test_it_follows_a_commit_at_once_and_idle_time_rarely() -> None:
    clock = SettableClock()
    runtime = Runtime(clock=clock)
    database = await Database.open(MemoryPersistence(), runtime)
    worker = RepeatableTimestamp(database)
    await worker.bump_if_due()
    bumped = database.latest_ts()
    await worker.bump_if_due()
    assert database.latest_ts() == bumped
    await insert(database, "items", {"n": 1.0})
    committed = database.latest_ts()
    await worker.bump_if_due()
    assert database.latest_ts() > committed
    bumped = database.latest_ts()
    clock.seconds += runtime.settings.database.repeatable_ts_idle_seconds_min - 1
    await worker.bump_if_due()
    assert database.latest_ts() == bumped
    clock.seconds += runtime.settings.database.repeatable_ts_idle_seconds_max
    await worker.bump_if_due()
    assert database.latest_ts() > bumped
    await database.close()


async def test_tokens_outlive_bumps_that_the_log_has_forgotten() -> None:
    clock = SettableClock()
    settings = Settings(database=DatabaseSettings(commit_log_seconds_max=1.0))
    database = await Database.open(MemoryPersistence(), Runtime(clock=clock, settings=settings))
    await insert(database, "items", {"n": 1.0})
    tx = database.begin()
    await query(tx, scan("items"))
    token = database.token(tx)
    for _ in range(5):
        clock.seconds += 100.0
        await database.bump_repeatable_ts()
    assert database.refresh(token, database.latest_ts()) is not None
    await database.close()


async def test_the_worker_goes_on_after_a_full_disk() -> None:
    class Full(MemoryPersistence):
        refusals = 0

        def __init__(self) -> None:
            super().__init__()
            self.written = asyncio.Event()

        async def write(self, batch: WriteBatch) -> None:
            if self.refusals:
                self.refusals -= 1
                raise NotStoredError("full")
            await super().write(batch)
            self.written.set()

    persistence = Full()
    database = await Database.open(persistence, Runtime(clock=SettableClock()))
    persistence.written.clear()
    persistence.refusals = 2
    worker = asyncio.create_task(RepeatableTimestamp(database).run(), name="repeatable")
    await persistence.written.wait()
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    await database.close()
