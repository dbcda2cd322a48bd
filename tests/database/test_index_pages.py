"""Pages in memory never differ from what the persistence says."""

from __future__ import annotations

import random

import pytest

from fenchel.database import Database
from fenchel.documents import Interval
from fenchel.persistence import IndexPage, MemoryPersistence
from fenchel.runtime import Runtime
from tests.database.helpers import index_range, insert, patch, push, query, scan, schema

BY_N = schema({"items": {"indexes": {"by_n": ["n"]}}}, validation=False)


class CountingPersistence(MemoryPersistence):
    """Counts the pages that somebody loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.load_count = 0

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        self.load_count += 1
        return await super().load_index_page(
            index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )


@pytest.fixture
def persistence() -> CountingPersistence:
    return CountingPersistence()


@pytest.fixture
async def database(persistence: CountingPersistence) -> Database:
    database = await Database.open(persistence, Runtime())
    await push(database, BY_N)
    await insert(database, "items", {"n": 1.0}, {"n": 5.0}, {"n": 9.0})
    return database


UP_TO_FIVE = index_range("items.by_n", ("n", "Lte", 5))


async def test_a_range_is_loaded_again_only_if_something_in_it_changed(
    database: Database, persistence: CountingPersistence
) -> None:
    loads = []
    for number in (None, 7.0, 3.0):
        if number is not None:
            await insert(database, "items", {"n": number})
        persistence.load_count = 0
        await query(database.begin(), UP_TO_FIVE)
        loads.append(persistence.load_count)
    assert loads == [1, 0, 1]
    assert await query(database.begin(), UP_TO_FIVE) == [1.0, 3.0, 5.0]


async def test_an_older_snapshot_keeps_what_it_had(database: Database) -> None:
    older = database.begin()
    await insert(database, "items", {"n": 3.0})
    assert await query(database.begin(), UP_TO_FIVE) == [1.0, 3.0, 5.0]
    assert await query(older, UP_TO_FIVE) == [1.0, 5.0]
    assert await query(database.begin(), UP_TO_FIVE) == [1.0, 3.0, 5.0]


async def test_own_writes_stay_the_transactions_own(database: Database) -> None:
    tx = database.begin()
    await tx.user().insert("items", {"n": 2.0})
    assert await query(tx, UP_TO_FIVE) == [1.0, 2.0, 5.0]
    assert await query(database.begin(), UP_TO_FIVE) == [1.0, 5.0]


@pytest.mark.parametrize("seed", range(3))
async def test_ranges_are_those_of_the_whole_table(database: Database, seed: int) -> None:
    source = random.Random(seed)
    ids = await insert(database, "items", *({"n": float(n)} for n in range(20)))
    snapshots = [database.begin().begin_ts]
    for _ in range(120):
        if source.random() < 0.4:
            await patch(database, source.choice(ids), n=float(source.randrange(20)))
            snapshots = [*snapshots[-2:], database.latest_ts()]
        ts = source.choice(snapshots)
        low, order = source.randrange(20), source.choice(("asc", "desc"))
        bounds = (("n", "Gte", low), ("n", "Lt", low + 4))
        found = await query(database.begin(ts=ts), index_range("items.by_n", *bounds, order=order))
        everything = await query(database.begin(ts=ts), scan("items"))
        expected = [n for n in everything if isinstance(n, float) and low <= n < low + 4]
        assert found == sorted(expected, reverse=order == "desc")
