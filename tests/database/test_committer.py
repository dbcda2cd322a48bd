"""Group commit: failures stay with their callers, unknown outcomes stop everything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fenchel.database import Database, Transaction
from fenchel.database.commit import PreparedCommit
from fenchel.documents import Timestamp
from fenchel.errors import ConflictError, FenchelError
from fenchel.persistence import (
    MemoryPersistence,
    NotStoredError,
    SqlitePersistence,
    WriteBatch,
)
from fenchel.runtime import Runtime, Settings, ShiftingClock
from fenchel.runtime.settings import DatabaseSettings
from tests.database.helpers import insert, query, scan


class GatedPersistence(MemoryPersistence):
    """Memory whose writes wait for the gate, may fail, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_writing = asyncio.Event()
        self.error: Exception | None = None
        self.write_count = 0

    async def write(self, batch: WriteBatch) -> None:
        self.is_writing.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.write_count += 1
        await super().write(batch)


@pytest.fixture
def persistence() -> GatedPersistence:
    return GatedPersistence()


@pytest.fixture
def runtime() -> Runtime:
    return Runtime(settings=Settings(database=DatabaseSettings(commit_queue_count_max=8)))


@pytest.fixture
async def database(persistence: GatedPersistence, runtime: Runtime) -> Database:
    opened = await Database.open(persistence, runtime)
    await insert(opened, "items", {"n": 0.0})
    return opened


async def inserting(database: Database, number: float) -> Transaction:
    tx = database.begin()
    await tx.user().insert("items", {"n": number})
    return tx


async def test_a_clock_that_is_put_forward_makes_nothing_old_that_was_just_published() -> None:
    clock = ShiftingClock()
    opened = await Database.open(MemoryPersistence(), Runtime(clock=clock))
    await insert(opened, "items", {"n": 0.0})
    tx = await inserting(opened, 1.0)
    for number in (2.0, 3.0):
        await opened.commit(await inserting(opened, number))
        clock.advance_to(clock.now_ns() + 3_600 * 10**9)
    begin_ts = opened._log.start_ts
    await opened.commit(tx)
    for number in (4.0, 5.0):
        clock.advance_to(clock.now_ns() + 3_600 * 10**9)
        await opened.commit(await inserting(opened, number))
    assert opened._log.start_ts > begin_ts
    await opened.close()


async def test_the_timestamp_is_told_before_anybody_can_see_the_commit(database: Database) -> None:
    seen: list[tuple[Timestamp, Timestamp]] = []

    def tell(ts: Timestamp) -> None:
        seen.append((ts, database.latest_ts()))

    ts = await database.commit(await inserting(database, 1.0), on_publish=tell)
    ((told, latest),) = seen
    assert told == ts == database.latest_ts()
    assert latest < told


async def test_a_commit_that_is_not_stored_is_not_told(
    database: Database, persistence: GatedPersistence
) -> None:
    told: list[Timestamp] = []
    persistence.error = NotStoredError("disk full")
    with pytest.raises(NotStoredError):
        await database.commit(await inserting(database, 1.0), on_publish=told.append)
    assert not told


class Group:
    """One commit held in the durable write; others gather behind it."""

    def __init__(self, database: Database, persistence: GatedPersistence) -> None:
        self._database = database
        self._persistence = persistence
        self.tasks: list[asyncio.Task[int]] = []

    async def hold(self) -> None:
        self._persistence.is_writing.clear()
        self._persistence.gate.clear()
        self.add(await inserting(self._database, 1.0))
        await self._persistence.is_writing.wait()

    def add(self, tx: Transaction) -> asyncio.Task[int]:
        task: asyncio.Task[int] = asyncio.create_task(self._database.commit(tx), name="commit")
        self.tasks.append(task)
        return task

    async def queued(self, count: int) -> None:
        """One turn of the loop lets every added task reach the queue."""
        await asyncio.sleep(0)
        assert len(self._database._committer._queue) == count


async def test_waiting_commits_share_one_durable_write(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    await group.hold()
    for number in (2.0, 3.0, 4.0):
        group.add(await inserting(database, number))
    await group.queued(3)
    before = persistence.write_count
    persistence.gate.set()
    timestamps = await asyncio.gather(*group.tasks)
    assert persistence.write_count == before + 2
    assert timestamps == sorted(set(timestamps))
    assert await query(database.begin(), scan("items")) == [0.0, 1.0, 2.0, 3.0, 4.0]
    database.check_invariants()
    await database.close()


async def test_nothing_is_visible_before_it_is_durable(
    database: Database, persistence: GatedPersistence
) -> None:
    before = database.latest_ts()
    group = Group(database, persistence)
    await group.hold()
    assert database.latest_ts() == before
    assert await query(database.begin(), scan("items")) == [0.0]
    assert not group.tasks[0].done()
    persistence.gate.set()
    assert await group.tasks[0] == database.latest_ts() > before
    await database.close()


async def test_a_conflict_inside_a_group_fails_alone(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    conflicting = []
    for number in (10.0, 11.0):
        tx = await inserting(database, number)
        await query(tx, scan("items"))
        conflicting.append(tx)
    await group.hold()
    for tx in (*conflicting, await inserting(database, 12.0)):
        group.add(tx)
    await group.queued(3)
    persistence.gate.set()
    results = await asyncio.gather(*group.tasks, return_exceptions=True)
    assert [isinstance(result, ConflictError) for result in results] == [False, True, True, False]
    assert await query(database.begin(), scan("items")) == [0.0, 1.0, 12.0]
    await database.close()


async def test_a_cancelled_caller_harms_nobody(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    await group.hold()
    cancelled = group.add(await inserting(database, 2.0))
    group.add(await inserting(database, 3.0))
    await group.queued(2)
    cancelled.cancel()
    group.tasks[0].cancel()
    await asyncio.sleep(0)
    persistence.gate.set()
    await group.tasks[2]
    # The first was already being written, so it happened; the second was withdrawn.
    assert await query(database.begin(), scan("items")) == [0.0, 1.0, 3.0]
    await database.close()


async def test_a_bug_in_one_commit_harms_nobody(
    database: Database, persistence: GatedPersistence, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Group(database, persistence)
    await group.hold()
    broken = group.add(await inserting(database, 2.0))
    group.add(await inserting(database, 3.0))
    await group.queued(2)
    original, broken_commit = PreparedCommit.index_writes, database._committer._queue[0].commit

    def fail_for_broken(self: PreparedCommit, ts: Timestamp) -> object:
        if self is broken_commit:
            raise ZeroDivisionError
        return original(self, ts)

    monkeypatch.setattr(PreparedCommit, "index_writes", fail_for_broken)
    persistence.gate.set()
    results = await asyncio.gather(*group.tasks, return_exceptions=True)
    assert isinstance(results[1], ZeroDivisionError)
    assert broken.done()
    assert await query(database.begin(), scan("items")) == [0.0, 1.0, 3.0]
    await database.close()


async def test_a_failed_write_stops_the_database(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    waiter = asyncio.create_task(
        database.wait_for_ts(Timestamp(database.latest_ts() + 10**15)),
        name="waiter",
    )
    await group.hold()
    group.add(await inserting(database, 2.0))
    await group.queued(1)
    persistence.error = OSError("disk gone")
    persistence.gate.set()
    results = await asyncio.gather(*group.tasks, waiter, return_exceptions=True)
    for result in results:
        assert isinstance(result, FenchelError)
        assert result.code == "DatabaseStopped"
        assert "disk gone" in result.message
    assert (await database.wait_failed()).code == "DatabaseStopped"
    with pytest.raises(FenchelError):
        database.begin()
    await database.close()


async def test_a_refused_write_fails_its_group_and_nothing_else(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    await group.hold()
    before, tables_before = database.latest_ts(), database.metadata.tables
    creating = database.begin()
    await creating.user().insert("created", {"n": 1.0})
    group.add(creating)
    reading = await inserting(database, 5.0)
    await query(reading, scan("items"))
    group.add(reading)
    await group.queued(2)
    persistence.error = NotStoredError("full")
    persistence.gate.set()
    results = await asyncio.gather(*group.tasks, return_exceptions=True)
    assert [type(result) for result in results] == [NotStoredError, NotStoredError, NotStoredError]
    assert database.latest_ts() == before
    assert database.metadata.tables == tables_before
    database.check_invariants()
    persistence.error = None
    # What they had read is as it was, so they can be committed as they are.
    await database.commit(creating)
    await database.commit(reading)
    assert await query(database.begin(), scan("items")) == [0.0, 5.0]
    assert await database.begin().user().count("items") == 2
    assert await database.begin().user().count("created") == 1
    await database.close()


async def test_who_conflicted_with_a_refused_commit_need_not_wait_for_it(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    await group.hold()
    group.add(await inserting(database, 2.0))
    conflicting = await inserting(database, 3.0)
    await query(conflicting, scan("items"))
    conflicting_task = group.add(conflicting)
    await group.queued(2)
    persistence.error = NotStoredError("full")
    persistence.gate.set()
    with pytest.raises(ConflictError) as caught:
        await conflicting_task
    results = await asyncio.gather(*group.tasks, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [NotStoredError, NotStoredError]
    assert database.latest_ts() < caught.value.source.write_ts
    await database.wait_for_ts(Timestamp(caught.value.source.write_ts))
    await database.close()


async def test_a_full_queue_refuses_at_once(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    await group.hold()
    for number in range(8):
        group.add(await inserting(database, float(number)))
    await group.queued(8)
    with pytest.raises(FenchelError) as caught:
        await database.commit(await inserting(database, 99.0))
    assert caught.value.code == "CommitterFullError"
    persistence.gate.set()
    await asyncio.gather(*group.tasks)
    await database.close()


async def test_closing_finishes_what_was_accepted(
    database: Database, persistence: GatedPersistence
) -> None:
    group = Group(database, persistence)
    await group.hold()
    group.add(await inserting(database, 2.0))
    await group.queued(1)
    late = await inserting(database, 3.0)
    closing = asyncio.create_task(database.close(), name="close")
    await asyncio.sleep(0)
    with pytest.raises(FenchelError):
        await database.commit(late)
    persistence.gate.set()
    await closing
    assert all(task.done() and task.exception() is None for task in group.tasks)
    await database.close()


async def test_timestamps_grow_across_restarts(tmp_path: Path) -> None:
    seen: list[int] = []
    for number in range(3):
        database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
        seen.append(database.latest_ts())
        await insert(database, "items", {"n": float(number)})
        seen.append(database.latest_ts())
        assert await query(database.begin(), scan("items")) == [float(n) for n in range(number + 1)]
        assert await database.begin().user().count("items") == number + 1
        await database.close()
    assert seen == sorted(set(seen))


async def test_waiting_for_a_timestamp(database: Database) -> None:
    await database.wait_for_ts(database.latest_ts())
    target = Timestamp(database.latest_ts() + 1)
    waiter = asyncio.create_task(database.wait_for_ts(target), name="waiter")
    await asyncio.sleep(0)
    assert not waiter.done()
    await insert(database, "items", {"n": 1.0})
    await waiter
    await database.close()
