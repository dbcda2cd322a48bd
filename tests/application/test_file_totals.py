"""How many files there are, and that only what changed is looked at again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fenchel.application.file_totals import FileTotal, FileTotals
from fenchel.database import Database, SnapshotReader
from fenchel.model import (
    VIRTUAL_TABLES,
    StoredFileRow,
    delete_stored_file,
    find_stored_file,
    insert_stored_file,
)
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from tests.application.fakes import ManualClock

CLOCK = ManualClock()


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await Database.open(MemoryPersistence(), Runtime(clock=CLOCK), VIRTUAL_TABLES)
    yield opened
    await opened.close()


def totals_of(database: Database) -> FileTotals:
    return FileTotals(database, Runtime(clock=CLOCK))


async def add(database: Database, *sizes: int) -> list[str]:
    """The ids of new files."""
    tx = database.begin()
    ids = [
        await insert_stored_file(
            tx,
            StoredFileRow(
                storage_id=Runtime().randomness.uuid4(),
                storage_key="00",
                sha256=bytes(32),
                size=size,
            ),
        )
        for size in sizes
    ]
    await database.commit(tx)
    return ids


async def delete(database: Database, storage_id: str) -> None:
    tx = database.begin()
    file = await find_stored_file(tx, storage_id)
    assert file is not None
    await delete_stored_file(tx, file)
    await database.commit(tx)


async def test_nothing_is_stored_at_first(database: Database) -> None:
    assert await totals_of(database).refresh() == ()


async def test_files_and_their_bytes_are_summed_up(database: Database) -> None:
    totals = totals_of(database)
    ids = await add(database, *range(1_201))
    assert await totals.refresh() == (FileTotal(component="", files=1_201, bytes=720_600),)
    await delete(database, ids[-1])
    await add(database, 5)
    assert await totals.refresh() == (FileTotal(component="", files=1_201, bytes=719_405),)
    assert totals.latest == await totals.refresh()


async def test_what_did_not_change_is_not_read_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = totals_of(database)
    await add(database, 7)
    known = await totals.refresh()
    tx = database.begin()
    await tx.user().insert("t", {})
    await database.commit(tx)
    monkeypatch.setattr(SnapshotReader, "load_pages", None)
    assert await totals.refresh() == known
    await add(database, 1)
    with pytest.raises(TypeError):
        await totals.refresh()
