"""The log of changes that streaming exports read (database specification 10.7)."""

from __future__ import annotations

import pytest

from fenchel.database import Change, Database, Retention, TableAdmin, load_changes
from fenchel.documents import Timestamp
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from tests.database.helpers import insert, patch

START = Timestamp(0)


@pytest.fixture
def runtime() -> Runtime:
    """Nothing is retained but the newest snapshot."""
    settings = DatabaseSettings(snapshot_retention_seconds=0.0, document_retention_seconds=0.0)
    return Runtime(settings=Settings(database=settings))


async def load_all(database: Database, *, limit: int) -> list[Change]:
    found, ts, has_more = [], START, True
    while has_more:
        page = await load_changes(database, ts, limit=limit)
        assert all(ts < change.ts <= page.through_ts for change in page.changes)
        found.extend(page.changes)
        ts, has_more = page.through_ts, page.has_more
    assert ts == database.latest_ts()
    return found


async def delete(database: Database, id_text: str) -> None:
    tx = database.begin()
    await tx.user().delete(id_text)
    await database.commit(tx)


def described(changes: list[Change]) -> list[tuple[str, object]]:
    return [
        (change.table.name, None if change.document is None else change.document.value["n"])
        for change in changes
    ]


async def test_changes_come_in_the_order_of_commits(any_database: Database) -> None:
    [first] = await insert(any_database, "a", {"n": 1.0})
    await insert(any_database, "b", {"n": 2.0})
    await patch(any_database, first, n=3.0)
    await delete(any_database, first)
    found = await load_all(any_database, limit=100)
    assert described(found) == [("a", 1.0), ("b", 2.0), ("a", 3.0), ("a", None)]
    assert [change.id_text for change in found if change.table.name == "a"] == [first] * 3


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_never_split_a_commit(any_database: Database, limit: int) -> None:
    for start in range(0, 15, 5):
        await insert(any_database, "a", *({"n": float(start + n)} for n in range(5)))
    found = await load_all(any_database, limit=limit)
    assert sorted(described(found)) == [("a", float(n)) for n in range(15)]
    page = await load_changes(any_database, Timestamp(found[0].ts - 1), limit=limit)
    assert len(page.changes) == 5 if limit <= 5 else 10


async def test_nothing_is_new_after_the_newest_commit_or_in_the_future(database: Database) -> None:
    await insert(database, "a", {"n": 1.0})
    for ts in (database.latest_ts(), Timestamp((1 << 63) - 1)):
        assert await load_changes(database, ts, limit=10) == ([], ts, False)


async def test_tables_that_are_gone_or_being_filled_are_left_out(database: Database) -> None:
    await insert(database, "gone", {"n": 1.0})
    tx = database.begin()
    await TableAdmin(tx).create_hidden("filled", 12_000)
    [gone] = [t for t in TableAdmin(tx).list_user_tables() if t.name == "gone"]
    await TableAdmin(tx).discard(gone)
    await database.commit(tx)
    assert await load_all(database, limit=10) == []


async def test_a_cursor_behind_the_retained_log_is_refused(database: Database) -> None:
    [item] = await insert(database, "a", {"n": 1.0})
    await patch(database, item, n=2.0)
    cursor = database.latest_ts()
    await patch(database, item, n=3.0)
    retention = await Retention.load(database)
    await retention.run_round()
    await retention.run_round()
    with pytest.raises(FenchelError) as raised:
        await load_changes(database, Timestamp(cursor - 1), limit=10)
    assert raised.value.code == "InvalidWindowToReadDocuments"
    await patch(database, item, n=4.0)
    page = await load_changes(database, Timestamp(database.latest_ts() - 1), limit=10)
    assert described(page.changes) == [("a", 4.0)]
