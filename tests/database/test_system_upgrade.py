"""A database that an older version wrote gets the system tables and indexes that it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from fenchel.database import Database, system_tables
from fenchel.database.metadata import IndexState
from fenchel.database.system_tables import SYSTEM_TABLES, SystemTable
from fenchel.persistence import SqlitePersistence
from fenchel.runtime import Runtime
from fenchel.values import Value
from tests.database.helpers import insert

ADDED = {
    "_exports": "by_requestor",
    "_environment_variables": "by_name",
    "_session_requests": "by_session_id_and_request_id",
}


def use_tables(monkeypatch: pytest.MonkeyPatch, tables: dict[str, SystemTable]) -> None:
    """Make the code one that knows these system tables."""
    for name in list(SYSTEM_TABLES):
        monkeypatch.delitem(SYSTEM_TABLES, name)
    for name, table in tables.items():
        monkeypatch.setitem(SYSTEM_TABLES, name, table)


def older_tables() -> dict[str, SystemTable]:
    """Without the table `_canonical_urls` and without the indexes in `ADDED`."""
    tables = dict(SYSTEM_TABLES)
    del tables["_canonical_urls"]
    for name, index in ADDED.items():
        known = tables[name]
        indexes = {n: fields for n, fields in known.indexes.items() if n != index}
        tables[name] = SystemTable(
            name=name,
            number=known.number,
            indexes=indexes,
            is_in_memory=known.is_in_memory,
            is_per_component=known.is_per_component,
        )
    return tables


async def write_older(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """A folder as an older version left it, with more session requests than a page holds."""
    with monkeypatch.context() as older:
        use_tables(older, older_tables())
        database = await Database.open(SqlitePersistence.open(directory), Runtime())
        await insert(database, "notes", {"n": 1.0})
        tx = database.begin()
        rows = tx.system()
        await rows.insert("_environment_variables", {"name": "B", "value": "2"})
        await rows.insert("_environment_variables", {"name": "A", "value": "1"})
        for number in range(600):
            key: dict[str, Value] = {"sessionId": "s", "requestId": float(600 - number)}
            await rows.insert("_session_requests", key)
        await database.commit(tx)
        await database.close()


async def test_missing_tables_and_indexes_are_added_and_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_older(monkeypatch, tmp_path)
    for _ in ("first", "second"):
        database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
        tx = database.begin()
        assert tx.find_table("", "_canonical_urls") is not None
        variables = await tx.system().query("_environment_variables", "by_name")
        assert [row.value["name"] for row in variables] == ["A", "B"]
        found = await tx.system().query("_session_requests", ADDED["_session_requests"], ["s"])
        assert [row.value["requestId"] for row in found] == [float(n + 1) for n in range(600)]
        assert await tx.system().query("_exports", "by_requestor") == []
        assert await tx.user().count("notes") == 1
        database.check_invariants()
        await database.close()


async def test_what_is_written_afterwards_stands_in_the_added_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_older(monkeypatch, tmp_path)
    database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    tx = database.begin()
    await tx.system().insert("_environment_variables", {"name": "0", "value": "first"})
    await database.commit(tx)
    found = await database.begin().system().query("_environment_variables", "by_name")
    assert [row.value["name"] for row in found] == ["0", "A", "B"]
    await database.close()


async def test_an_upgrade_that_was_cut_short_is_finished_at_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_older(monkeypatch, tmp_path)

    async def fail(*_: object, **__: object) -> None:
        raise OSError("disk gone")

    with monkeypatch.context() as broken:
        broken.setattr("fenchel.database.system_upgrade.set_index_state", fail)
        with pytest.raises(OSError, match="disk gone"):
            await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    states = {
        index.state
        for table in database.metadata.tables.values()
        for index in database.metadata.indexes[table.tablet_id]
    }
    assert states == {IndexState.ENABLED}
    found = await database.begin().system().query("_environment_variables", "by_name")
    assert [row.value["name"] for row in found] == ["A", "B"]
    await database.close()


def test_no_two_system_tables_share_a_number() -> None:
    numbers = [table.number for table in system_tables.SYSTEM_TABLES.values()]
    assert len(set(numbers)) == len(numbers)
