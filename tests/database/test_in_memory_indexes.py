"""System tables at snapshots that are held longer than the live copy reaches back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fenchel.database import Database, InMemoryIndexes, Retention
from fenchel.database.in_memory_indexes import OlderIndexes
from fenchel.documents import ALL_KEYS, Interval, Timestamp
from fenchel.errors import FenchelError
from fenchel.persistence import IndexPage, MemoryPersistence, Persistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from tests.database.test_snapshot import StepClock

VARIABLES = "_environment_variables"


class Noting:
    """Reads the persistence, and notes for which states of an index it was asked."""

    def __init__(self, persistence: Persistence) -> None:
        self._persistence = persistence
        self.asked: list[tuple[bytes, Timestamp, Timestamp]] = []

    async def load_page(
        self,
        index_id: bytes,
        interval: Interval,
        *,
        ts: Timestamp,
        last_modified_ts: Timestamp,
        is_descending: bool,
        limit: int,
    ) -> IndexPage:
        self.asked.append((index_id, last_modified_ts, ts))
        return await self._persistence.load_index_page(
            index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )


async def open_database(clock: StepClock, older: InMemoryIndexes | None) -> Database:
    settings = Settings(
        database=DatabaseSettings(snapshot_retention_seconds=60.0, recent_snapshot_seconds=10.0)
    )
    runtime = Runtime(clock=clock, settings=settings)
    persistence = older._persistence if isinstance(older, Noting) else MemoryPersistence()
    return await Database.open(persistence, runtime, older_indexes=older)


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture
def noting() -> Noting:
    return Noting(MemoryPersistence())


@pytest.fixture(params=["served", "from persistence"])
async def database(
    request: pytest.FixtureRequest, clock: StepClock, noting: Noting
) -> AsyncIterator[Database]:
    opened = await open_database(clock, noting if request.param == "served" else None)
    yield opened
    opened.check_invariants()
    await opened.close()


async def set_variable(database: Database, value: str) -> Timestamp:
    tx = database.begin()
    rows = tx.system()
    found = await rows.query(VARIABLES, "by_name", ["A"])
    if found:
        await rows.replace(VARIABLES, found[0].id_text, {"name": "A", "value": value})
    else:
        await rows.insert(VARIABLES, {"name": "A", "value": value})
    return await database.commit(tx)


async def read_variable(database: Database, ts: Timestamp | None = None) -> list[object]:
    rows = await database.begin(ts=ts).system().query(VARIABLES, "by_name", ["A"])
    return [row.value["value"] for row in rows]


async def let_seconds_pass(database: Database, clock: StepClock, seconds: int) -> None:
    clock.seconds += seconds
    await database.bump_repeatable_ts()
    await (await Retention.load(database)).run_round()


async def test_a_held_snapshot_sees_its_own_system_tables_for_hours(
    database: Database, clock: StepClock
) -> None:
    first = await set_variable(database, "1")
    with database.hold_snapshot(first):
        for number in range(2, 6):
            await let_seconds_pass(database, clock, 3_600)
            await set_variable(database, f"{number}")
            assert await read_variable(database, first) == ["1"]
        assert await read_variable(database) == ["5"]
    await let_seconds_pass(database, clock, 3_600)
    with pytest.raises(FenchelError) as caught:
        await read_variable(database, first)
    assert caught.value.code == "OutOfRetention"


async def test_a_transaction_that_outlives_the_live_copy_goes_on_at_its_snapshot(
    database: Database, clock: StepClock
) -> None:
    await set_variable(database, "1")
    tx = database.begin()
    await set_variable(database, "2")
    await let_seconds_pass(database, clock, 20)
    rows = await tx.system().query(VARIABLES, "by_name", ["A"])
    assert [row.value["value"] for row in rows] == ["1"]


async def test_memory_keeps_only_recent_versions_however_old_the_held_snapshot(
    clock: StepClock, noting: Noting
) -> None:
    database = await open_database(clock, noting)
    first = await set_variable(database, "0")
    memory = database.begin()._snapshot.memory
    with database.hold_snapshot(first):
        for number in range(50):
            await set_variable(database, f"{number}")
        await let_seconds_pass(database, clock, 20)
        await let_seconds_pass(database, clock, 20)
        index = _index_id(database)
        assert len(memory.load_rows(index, 1_000)) == 1
        assert await read_variable(database, first) == ["0"]
    await database.close()


async def test_snapshots_between_two_writes_ask_for_the_same_state(
    clock: StepClock, noting: Noting
) -> None:
    database = await open_database(clock, noting)
    first = await set_variable(database, "1")
    between = await database.bump_repeatable_ts()
    second = await set_variable(database, "2")
    await let_seconds_pass(database, clock, 20)
    for ts in (first, between, second):
        await read_variable(database, ts)
    index = _index_id(database)
    asked = [(modified, ts) for asked_index, modified, ts in noting.asked if asked_index == index]
    assert asked == [(first, first), (first, between), (second, second)]
    await database.close()


async def test_what_nobody_can_ask_for_is_forgotten() -> None:
    older = OlderIndexes(Timestamp(10), MemoryPersistence(), None)
    for ts in (20, 30, 40):
        older.append(Timestamp(ts), [b"a", b"a"])
    assert older.last_modified_ts(b"a", Timestamp(15)) == 10
    assert older.last_modified_ts(b"a", Timestamp(35)) == 30
    assert older.last_modified_ts(b"b", Timestamp(35)) == 10
    older.prune(Timestamp(35))
    assert older.last_modified_ts(b"a", Timestamp(35)) == 30
    assert older.last_modified_ts(b"a", Timestamp(45)) == 40
    page = await older.load_index_page(
        b"a", ALL_KEYS, ts=Timestamp(45), is_descending=False, limit=1
    )
    assert page == IndexPage([], False)


def _index_id(database: Database) -> bytes:
    metadata = database.metadata
    table = metadata.root_table(VARIABLES)
    return metadata.index_named(table.tablet_id, "by_name").index_id
