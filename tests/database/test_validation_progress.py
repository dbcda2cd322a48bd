"""How far a pending schema's validation has come stands in a system table meanwhile (database
specification 5.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fenchel.database import Database, SchemaState, SchemaTables, schema_validator
from fenchel.database.background import walk_table
from fenchel.database.metadata import Table
from fenchel.values import Value
from tests.database.helpers import (
    insert,
    object_type,
    push,
    schema,
    start_push,
    until_ready,
    workers,
)

PROGRESS = "_schema_validation_progress"
NUMBERS = schema({"items": {"type": object_type(n="number")}})


async def rows(database: Database) -> list[dict[str, object]]:
    found = await database.begin().system().query(PROGRESS, "by_schema_id")
    keys = ("num_docs_validated", "total_docs")
    return [{key: document.value[key] for key in keys} for document in found]


async def leave_row(database: Database, schema_id: str) -> None:
    tx = database.begin()
    left: dict[str, Value] = {"schemaId": schema_id, "num_docs_validated": 7, "total_docs": 9}
    await tx.system().insert(PROGRESS, left)
    await database.commit(tx)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, object]]]:
    """The rows after each page of documents."""
    states: list[list[dict[str, object]]] = []

    async def note(database: Database, table: Table) -> AsyncIterator[Any]:
        async for page in walk_table(database, table):
            yield page
            states.append(await rows(database))

    monkeypatch.setattr(schema_validator, "walk_table", note)
    return states


async def test_it_counts_page_by_page_and_vanishes_with_the_end(
    database: Database, seen: list[list[dict[str, object]]]
) -> None:
    await insert(database, "items", *({"n": float(n)} for n in range(1_200)))
    await push(database, NUMBERS)
    assert [state[0]["num_docs_validated"] for state in seen] == [500, 1_000, 1_200]
    assert all(len(state) == 1 for state in seen)
    assert {state[0]["total_docs"] for state in seen} == {1_200}
    assert await rows(database) == []


async def test_a_schema_that_fails_leaves_no_row(
    database: Database, seen: list[list[dict[str, object]]]
) -> None:
    await insert(database, "items", *({"n": float(n)} for n in range(600)))
    await insert(database, "items", {"n": "text"}, {"n": "text"}, {"n": "text"}, {"n": "text"})
    async with workers(database):
        schema_id = await start_push(database, NUMBERS)
        await until_ready(database, schema_id)
    assert await rows(database) == []
    found = await SchemaTables(database.begin()).get(schema_id)
    assert found is not None
    assert found.state is SchemaState.FAILED
    assert all(len(state) <= 1 for state in seen)


async def test_a_row_that_a_crash_left_behind_is_taken_over(
    database: Database, seen: list[list[dict[str, object]]]
) -> None:
    await insert(database, "items", {"n": 1.0})
    schema_id = await start_push(database, NUMBERS)
    await leave_row(database, schema_id)
    await leave_row(database, "of a schema that is gone")
    async with workers(database):
        await until_ready(database, schema_id)
    assert await rows(database) == []
    assert seen == [[{"num_docs_validated": 1, "total_docs": 1}]]


async def test_nothing_is_written_where_nothing_is_walked(
    database: Database, seen: list[list[dict[str, object]]]
) -> None:
    await push(database, NUMBERS)
    assert seen == []
    assert await rows(database) == []
