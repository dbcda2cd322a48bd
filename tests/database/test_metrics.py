"""Each measure moves for its reason, and for no other."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.database import Database
from fenchel.errors import ConflictError
from fenchel.persistence import NotStoredError
from fenchel.runtime import Runtime
from tests.database.helpers import insert
from tests.database.test_committer import GatedPersistence


def read(database: Database, name: str, **labels: str) -> float:
    """Zero for what never moved."""
    registry = database.commit_metrics.registry
    return registry.get_sample_value(f"fenchel_commit_{name}", labels) or 0.0


@pytest.fixture
def persistence() -> GatedPersistence:
    return GatedPersistence()


@pytest.fixture
async def database(persistence: GatedPersistence) -> Database:
    opened = await Database.open(persistence, Runtime())
    await insert(opened, "items", {"n": 0.0})
    return opened


async def test_commits_that_wait_together_share_a_write(
    database: Database, persistence: GatedPersistence
) -> None:
    writes = read(database, "write_seconds_count", status="success")
    commits = read(database, "group_commits_sum")
    persistence.gate.clear()
    persistence.is_writing.clear()
    first = asyncio.create_task(insert(database, "items", {"n": 1.0}), name="first")
    await persistence.is_writing.wait()
    assert read(database, "waiting") == 0
    others = [
        asyncio.create_task(insert(database, "items", {"n": float(n)}), name="other")
        for n in (2, 3)
    ]
    async with asyncio.timeout(30):
        while read(database, "waiting") < 2:  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0)
    persistence.gate.set()
    await asyncio.gather(first, *others)
    assert read(database, "waiting") == 0
    assert read(database, "write_seconds_count", status="success") == writes + 2
    assert read(database, "group_commits_sum") == commits + 3
    assert read(database, "write_seconds_count", status="error") == 0
    await database.close()


async def test_a_refused_write_is_an_error(
    database: Database, persistence: GatedPersistence
) -> None:
    writes = read(database, "write_seconds_count", status="success")
    persistence.error = NotStoredError("disk full")
    with pytest.raises(NotStoredError):
        await insert(database, "items", {"n": 1.0})
    assert read(database, "write_seconds_count", status="error") == 1
    assert read(database, "write_seconds_count", status="success") == writes
    persistence.error = None
    await database.close()


async def test_who_conflicts_writes_nothing(database: Database) -> None:
    loser = database.begin()
    reader = loser.user()
    id_text = await reader.insert("items", {"n": 5.0})
    await database.commit(loser)
    first, second = database.begin(), database.begin()
    await first.user().patch(id_text, {"n": 6.0})
    await second.user().patch(id_text, {"n": 7.0})
    await database.commit(first)
    writes = read(database, "write_seconds_count", status="success")
    with pytest.raises(ConflictError):
        await database.commit(second)
    assert read(database, "write_seconds_count", status="success") == writes
    await database.close()
