"""Which tables a pushed schema makes the worker look at (database specification 5.7)."""

from __future__ import annotations

from fenchel.database import Database, SchemaState, SchemaTables
from tests.database.helpers import (
    insert,
    object_type,
    push,
    schema,
    start_push,
    until_ready,
    workers,
)

NUMBERS = {"items": {"type": object_type(n="number")}}
NUMBERS_OR_NULL = {
    "type": "object",
    "value": {
        "n": {
            "fieldType": {"type": "union", "value": [{"type": "number"}, {"type": "null"}]},
            "optional": True,
        }
    },
}


async def test_documents_without_an_enforced_schema_are_looked_at(
    database: Database, walked: list[str]
) -> None:
    await insert(database, "items", {"n": 1.0})
    await push(database, schema(NUMBERS, validation=False))
    assert walked == []
    await push(database, schema(NUMBERS))
    assert walked == ["items"]


async def test_an_empty_table_and_one_of_any_documents_are_not(
    database: Database, walked: list[str]
) -> None:
    await insert(database, "free", {"n": 1.0})
    await push(database, schema({**NUMBERS, "free": {"type": {"type": "any"}}}))
    assert walked == []


async def test_a_wider_type_is_certain_and_a_narrower_one_is_not(
    database: Database, walked: list[str]
) -> None:
    await push(database, schema(NUMBERS))
    await insert(database, "items", {"n": 1.0})
    await push(database, schema({"items": {"type": NUMBERS_OR_NULL}}))
    assert walked == []
    await insert(database, "items", {})
    async with workers(database):
        schema_id = await start_push(database, schema(NUMBERS))
        await until_ready(database, schema_id)
    assert walked == ["items"]
    found = await SchemaTables(database.begin()).get(schema_id)
    assert found is not None
    assert found.state is SchemaState.FAILED
