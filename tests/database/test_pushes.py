"""Schemas and indexes through pushes, with their workers (database specification 4.6, 5.6)."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.database import Database, IndexTables, SchemaState, SchemaTables
from fenchel.definitions import EMPTY_SCHEMA, decode_schema
from fenchel.errors import FenchelError
from tests.database.helpers import (
    finish_push,
    index_range,
    insert,
    object_type,
    patch,
    push,
    query,
    schema,
    start_push,
    until_ready,
    workers,
)

NUMBERS = schema({"items": {"type": object_type(n="number")}})
BY_N = schema({"items": {"indexes": {"by_n": ["n"]}}})


async def query_error(database: Database) -> str:
    with pytest.raises(FenchelError) as caught:
        await query(database.begin(), index_range("items.by_n"))
    return caught.value.code


class TestSchemas:
    async def test_an_active_schema_refuses_writes(self, any_database: Database) -> None:
        await push(any_database, NUMBERS)
        tables = any_database.begin().user()
        with pytest.raises(FenchelError) as caught:
            await tables.insert("items", {"n": "x"})
        assert caught.value.code == "SchemaEnforcementError"
        assert caught.value.message.startswith(
            'Failed to insert or update a document in table "items" because it does not match the '
            "schema: "
        )
        await tables.insert("unlisted", {"n": "x"})

    async def test_a_bad_document_fails_the_push(self, any_database: Database) -> None:
        (id_text,) = await insert(any_database, "items", {"n": "x"})
        async with workers(any_database):
            schema_id = await start_push(any_database, NUMBERS)
            await until_ready(any_database, schema_id)
        found = await SchemaTables(any_database.begin()).get(schema_id)
        assert found is not None
        assert found.state is SchemaState.FAILED
        assert found.table_name == "items"
        assert (found.error or "").startswith(
            f'Document with ID "{id_text}" in table "items" does not match the schema: '
        )
        with pytest.raises(FenchelError) as caught:
            await finish_push(any_database, NUMBERS, schema_id)
        assert caught.value.code == "SchemaAlreadyFailed"

    async def test_a_bad_write_while_pending_succeeds_and_fails_the_push(
        self, any_database: Database
    ) -> None:
        """11.12"""
        schema_id = await start_push(any_database, NUMBERS)
        await insert(any_database, "items", {"n": "x"})
        found = await SchemaTables(any_database.begin()).get(schema_id)
        assert found is not None
        assert (found.error or "").startswith('New document in table "items" does not match')

    async def test_submitting_again_reuses_the_row(self, database: Database) -> None:
        first = await start_push(database, NUMBERS)
        assert await start_push(database, NUMBERS) == first
        other = await start_push(database, BY_N)
        assert other != first
        found = await SchemaTables(database.begin()).get(first)
        assert found is not None
        assert found.state is SchemaState.OVERWRITTEN

    async def test_applying_no_schema_clears_the_active_one(self, database: Database) -> None:
        await push(database, NUMBERS)
        tx = database.begin()
        await SchemaTables(tx).apply(None)
        await database.commit(tx)
        assert await SchemaTables(database.begin()).get_active() is None
        await insert(database, "items", {"n": "x"})


class TestIndexes:
    async def test_an_index_is_filled_while_commits_go_on(self, any_database: Database) -> None:
        count = 1_200
        ids = await insert(any_database, "items", *({"n": float(n)} for n in range(count)))
        async with workers(any_database):
            schema_id = await start_push(any_database, BY_N)
            for place in range(0, count, 40):
                await patch(any_database, ids[place], n=float(place + count))
                await asyncio.sleep(0)
            await until_ready(any_database, schema_id)
        await finish_push(any_database, BY_N, schema_id)
        found = await query(any_database.begin(), index_range("items.by_n"))
        moved = [float(place + count) for place in range(0, count, 40)]
        assert found == [float(n) for n in range(count) if n % 40] + moved

    async def test_states_decide_what_queries_say(self, any_database: Database) -> None:
        """11.13"""
        await insert(any_database, "items", {"n": 1.0})
        assert await query_error(any_database) == "IndexNotFoundError"
        staged = schema({"items": {"staged": {"by_n": ["n"]}}})
        schema_id = await start_push(any_database, staged)
        assert await query_error(any_database) == "IndexStagedError"
        await start_push(any_database, BY_N)
        assert await query_error(any_database) == "IndexBackfillingError"
        with pytest.raises(FenchelError) as caught:
            await finish_push(any_database, BY_N, await start_push(any_database, BY_N))
        assert caught.value.code in ("SchemaNotValidated", "IndexNotFilled")
        await push(any_database, BY_N)
        assert await query(any_database.begin(), index_range("items.by_n")) == [1.0]
        await push(any_database, staged)
        assert await query_error(any_database) == "IndexStagedError"
        assert schema_id

    async def test_a_replaced_index_serves_until_the_finish(self, any_database: Database) -> None:
        await push(any_database, BY_N)
        await insert(any_database, "items", {"n": 1.0, "m": 2.0})
        changed = schema({"items": {"indexes": {"by_n": ["m"]}}})
        tx = any_database.begin()
        diff = (await IndexTables(tx).prepare(decode_schema(changed))).encode()
        assert [index["fields"] for index in diff["removed_indexes"]] == [["n", "_creationTime"]]
        assert [index["fields"] for index in diff["added_indexes"]] == [["m", "_creationTime"]]
        reader = any_database.begin()
        assert await query(reader, index_range("items.by_n", ("n", "Eq", 1))) == [1.0]
        await push(any_database, changed)
        assert await query(any_database.begin(), index_range("items.by_n", ("m", "Eq", 2))) == [1.0]
        assert any_database.refresh(any_database.token(reader), any_database.latest_ts()) is None

    async def test_indexes_outside_the_schema_are_dropped(self, database: Database) -> None:
        await push(database, BY_N)
        tx = database.begin()
        diff = await IndexTables(tx).finish(EMPTY_SCHEMA)
        await database.commit(tx)
        assert [index["name"] for index in diff.removed] == ["items.by_n"]
        assert await query_error(database) == "IndexNotFoundError"

    async def test_an_unfinished_backfill_starts_again(self, any_database: Database) -> None:
        """As after a restart: the row says that the index is not filled."""
        await insert(any_database, "items", {"n": 1.0}, {"n": 2.0})
        schema_id = await start_push(any_database, BY_N)
        for _ in range(2):
            async with workers(any_database):
                await until_ready(any_database, schema_id)
        await finish_push(any_database, BY_N, schema_id)
        assert await query(any_database.begin(), index_range("items.by_n")) == [1.0, 2.0]
