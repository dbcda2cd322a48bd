"""What a push does with each index that exists or is wanted, case by case (database specification
4.6)."""

from __future__ import annotations

from typing import Any

import pytest

from fenchel.database import Database, IndexTables
from fenchel.definitions import decode_schema
from tests.database.helpers import index_range, insert, push, query, schema, start_push

BY_N = schema({"items": {"indexes": {"by": ["n"]}}})
BY_M = schema({"items": {"indexes": {"by": ["m"]}}})
STAGED_BY_N = schema({"items": {"staged": {"by": ["n"]}}})
NONE = schema({"items": {}})


async def prepare(database: Database, schema_json: str) -> dict[str, list[str]]:
    """What the start of a push says it would change: fields of each index, by kind of change."""
    tx = database.begin()
    encoded: dict[str, Any] = (await IndexTables(tx).prepare(decode_schema(schema_json))).encode()
    return {
        kind.removesuffix("_indexes"): [index["fields"][0] for index in indexes]
        for kind, indexes in encoded.items()
        if indexes
    }


def stored(database: Database) -> set[tuple[str, str, bool]]:
    """First field, state and staging of the versions of the index that exist."""
    metadata = database.metadata
    tablet_id = metadata.by_name["", "items"].tablet_id
    return {
        (index.fields[0][0], index.state.value, index.is_staged)
        for index in metadata.indexes[tablet_id]
        if index.name == "by"
    }


@pytest.mark.parametrize(
    ("before", "pushed", "changes"),
    [
        (NONE, BY_N, {"added": ["n"]}),
        (NONE, STAGED_BY_N, {"added": ["n"]}),
        (BY_N, BY_N, {}),
        (STAGED_BY_N, STAGED_BY_N, {}),
        (STAGED_BY_N, BY_N, {"enabled": ["n"]}),
        (BY_N, STAGED_BY_N, {"disabled": ["n"]}),
        (BY_N, BY_M, {"removed": ["n"], "added": ["m"]}),
        (STAGED_BY_N, BY_M, {"removed": ["n"], "added": ["m"]}),
        (BY_N, NONE, {"removed": ["n"]}),
        (STAGED_BY_N, NONE, {"removed": ["n"]}),
    ],
)
async def test_what_changes(
    database: Database, before: str, pushed: str, changes: dict[str, list[str]]
) -> None:
    await insert(database, "items", {"n": 1.0, "m": 2.0})
    await push(database, before)
    assert await prepare(database, pushed) == changes


async def test_a_pending_version_is_dropped_when_the_enabled_one_is_wanted_again(
    database: Database,
) -> None:
    await insert(database, "items", {"n": 1.0, "m": 2.0})
    await push(database, BY_N)
    await start_push(database, BY_M)
    assert stored(database) == {("n", "Enabled", False), ("m", "Backfilling", False)}
    await push(database, BY_N)
    assert stored(database) == {("n", "Enabled", False)}
    assert await query(database.begin(), index_range("items.by", ("n", "Eq", 1))) == [1.0]


async def test_an_index_that_was_staged_again_comes_back_without_being_filled(
    database: Database,
) -> None:
    await insert(database, "items", {"n": 1.0})
    await push(database, BY_N)
    await push(database, STAGED_BY_N)
    assert stored(database) == {("n", "Backfilled2", True)}
    await insert(database, "items", {"n": 2.0})
    tx = database.begin()
    assert await IndexTables(tx).count_filled() == (0, 0)
    await start_push(database, BY_N)
    assert await IndexTables(database.begin()).count_filled() == (1, 1)
    await push(database, BY_N)
    assert await query(database.begin(), index_range("items.by")) == [1.0, 2.0]
