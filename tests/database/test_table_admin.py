"""Whole tables (database specification 3.3)."""

from __future__ import annotations

import pytest

from fenchel.database import (
    BulkInserter,
    Database,
    FutureTableNames,
    SnapshotReader,
    Table,
    TableAdmin,
)
from fenchel.documents import InternalId, encode_document_id
from fenchel.errors import ConflictError, FenchelError
from fenchel.values import Value
from tests.database.helpers import (
    index_range,
    insert,
    is_invalidated,
    object_type,
    push,
    query,
    scan,
    schema,
    start_push,
)


async def create_hidden(database: Database, name: str, number: int) -> Table:
    tx = database.begin()
    table = await TableAdmin(tx).create_hidden(name, number)
    await database.commit(tx)
    return table


async def fill(database: Database, table: Table, *values: dict[str, Value]) -> None:
    tx = database.begin()
    inserter = BulkInserter(tx, table, FutureTableNames(tx, hidden=[table], gone=[]))
    for value in values:
        await inserter.insert(value)
    await database.commit(tx)


async def activate(database: Database, *tables: Table) -> None:
    tx = database.begin()
    await TableAdmin(tx).activate(tables)
    await database.commit(tx)


async def delete(database: Database, name: str) -> bool:
    tx = database.begin()
    is_found = await TableAdmin(tx).delete(name)
    await database.commit(tx)
    return is_found


def number_of(database: Database, name: str) -> int:
    table = TableAdmin(database.begin()).find(name)
    assert table is not None
    return table.number


class TestHidden:
    async def test_nobody_reaches_a_hidden_table(self, any_database: Database) -> None:
        (kept,) = await insert(any_database, "t", {"n": 1})
        hidden = await create_hidden(any_database, "t", number_of(any_database, "t"))
        await fill(any_database, hidden, {"n": 2}, {"n": 3})
        assert await query(any_database.begin(), scan("t")) == [1]
        assert await any_database.begin().user().get(kept) is not None

    async def test_activating_replaces_the_table_of_that_name(self, any_database: Database) -> None:
        (gone,) = await insert(any_database, "t", {"n": 1})
        hidden = await create_hidden(any_database, "t", number_of(any_database, "t"))
        await fill(any_database, hidden, {"n": 2})
        await activate(any_database, hidden)
        assert await query(any_database.begin(), scan("t")) == [2]
        assert await any_database.begin().user().get(gone) is None

    async def test_its_indexes_are_those_of_the_active_table(self, database: Database) -> None:
        await push(database, schema({"t": {"indexes": {"by_n": ["n"]}}}))
        hidden = await create_hidden(database, "t", number_of(database, "t"))
        await fill(database, hidden, {"n": 2.0}, {"n": 1.0})
        await activate(database, hidden)
        by_n = index_range("by_n", ("n", "Gte", 0))
        by_n["source"]["indexName"] = "t.by_n"
        assert await query(database.begin(), by_n) == [1.0, 2.0]

    async def test_an_index_that_is_still_being_filled_is_full_in_the_empty_table(
        self, database: Database
    ) -> None:
        await insert(database, "t", {"n": 1.0})
        await start_push(database, schema({"t": {"indexes": {"by_n": ["n"]}}}))
        hidden = await create_hidden(database, "t", number_of(database, "t"))
        indexes = database.metadata.indexes[hidden.tablet_id]
        states = {index.name: index.state.value for index in indexes}
        assert states["by_n"] == "Backfilled2"

    async def test_two_tables_can_change_their_numbers(self, database: Database) -> None:
        await insert(database, "a", {"n": 1})
        await insert(database, "b", {"n": 2})
        numbers = number_of(database, "a"), number_of(database, "b")
        first = await create_hidden(database, "a", numbers[1])
        second = await create_hidden(database, "b", numbers[0])
        await activate(database, first, second)
        assert (number_of(database, "b"), number_of(database, "a")) == numbers

    async def test_queries_of_the_replaced_table_are_invalidated(self, database: Database) -> None:
        await insert(database, "t", {"n": 1})
        hidden = await create_hidden(database, "t", number_of(database, "t"))
        tx = database.begin()
        await query(tx, scan("t"))
        await activate(database, hidden)
        assert is_invalidated(database, tx)

    async def test_a_mutation_that_wrote_to_the_replaced_table_conflicts(
        self, database: Database
    ) -> None:
        await insert(database, "t", {"n": 1})
        hidden = await create_hidden(database, "t", number_of(database, "t"))
        tx = database.begin()
        await tx.user().insert("t", {"n": 2})
        await activate(database, hidden)
        with pytest.raises(ConflictError):
            await database.commit(tx)


class TestDeletion:
    async def test_a_deleted_table_is_empty_at_once(self, any_database: Database) -> None:
        (gone,) = await insert(any_database, "t", {"n": 1})
        assert await delete(any_database, "t")
        assert await query(any_database.begin(), scan("t")) == []
        assert await any_database.begin().user().get(gone) is None
        assert not await delete(any_database, "t")

    async def test_its_number_is_not_given_again(self, database: Database) -> None:
        await insert(database, "t", {"n": 1})
        number = number_of(database, "t")
        await delete(database, "t")
        await insert(database, "t", {"n": 2})
        assert number_of(database, "t") != number
        assert await query(database.begin(), scan("t")) == [2]

    async def test_a_table_of_the_schema_stays(self, database: Database) -> None:
        await push(database, schema({"t": {}}))
        with pytest.raises(FenchelError) as caught:
            await delete(database, "t")
        assert caught.value.code == "SchemaEnforcementError"
        assert 'table "t" because it appears in the schema' in caught.value.message

    async def test_a_table_that_the_schema_refers_to_stays(self, database: Database) -> None:
        reference = {
            "type": "object",
            "value": {
                "ref": {
                    "fieldType": {
                        "type": "array",
                        "value": {"type": "id", "tableName": "t"},
                    },
                    "optional": True,
                }
            },
        }
        await push(database, schema({"t": {}, "u": {"type": reference}}))
        tx = database.begin()
        with pytest.raises(FenchelError) as caught:
            await TableAdmin(tx).delete("t")
        assert "appears in the schema" in caught.value.message

    async def test_a_pending_schema_that_needs_the_table_fails(self, database: Database) -> None:
        await insert(database, "t", {"n": 1})
        await start_push(database, schema({"t": {"type": object_type(n="bigint")}}))
        await delete(database, "t")
        assert database.metadata.schemas.of("").pending is None


class TestBulkInsert:
    async def test_ids_and_creation_times_are_kept(self, database: Database) -> None:
        await insert(database, "t", {"n": 1})
        (document,) = await documents(database, "t")
        hidden = await create_hidden(database, "t", number_of(database, "t"))
        await fill(database, hidden, document)
        await activate(database, hidden)
        assert await documents(database, "t") == [document]

    async def test_an_id_of_another_table_number_is_refused(self, database: Database) -> None:
        (foreign,) = await insert(database, "other", {"n": 1})
        hidden = await create_hidden(database, "t", 20_000)
        with pytest.raises(FenchelError) as caught:
            await fill(database, hidden, {"_id": foreign})
        assert caught.value.code == "ImportConflict"

    @pytest.mark.parametrize("is_same_batch", [True, False])
    async def test_an_id_is_taken_once(self, database: Database, is_same_batch: bool) -> None:
        (id_text,) = await insert(database, "t", {"n": 1})
        hidden = await create_hidden(database, "t", number_of(database, "t"))
        tx = database.begin()
        names = FutureTableNames(tx, hidden=[hidden], gone=[])
        inserter = BulkInserter(tx, hidden, names)
        await inserter.insert({"_id": id_text})
        if not is_same_batch:
            await database.commit(tx)
            tx = database.begin()
            inserter = BulkInserter(tx, hidden, names, greatest_id=inserter.greatest_id)
        with pytest.raises(FenchelError) as caught:
            await inserter.insert({"_id": id_text})
        assert caught.value.code == "DuplicateId"

    async def test_an_id_that_an_active_table_has_already_is_not_taken_again(
        self, database: Database
    ) -> None:
        (id_text,) = await insert(database, "t", {"n": 1})
        tx = database.begin()
        table = TableAdmin(tx).find("t")
        assert table is not None
        inserter = BulkInserter(tx, table, FutureTableNames(tx, hidden=[], gone=[]))
        with pytest.raises(FenchelError) as caught:
            await inserter.insert({"_id": id_text})
        assert (caught.value.code, caught.value.message) == (
            "DocumentExists",
            f"Cannot create document with _id {id_text} that already exists. Try to update it "
            "with `db.patch` or `db.replace`.",
        )

    async def test_an_id_that_an_active_table_had_once_is_not_taken_again(
        self, database: Database
    ) -> None:
        (id_text,) = await insert(database, "t", {"n": 1})
        tx = database.begin()
        await tx.user().delete(id_text)
        await database.commit(tx)
        tx = database.begin()
        table = TableAdmin(tx).find("t")
        assert table is not None
        inserter = BulkInserter(tx, table, FutureTableNames(tx, hidden=[], gone=[]))
        with pytest.raises(FenchelError) as caught:
            await inserter.insert({"_id": id_text})
        assert (caught.value.code, caught.value.message) == (
            "DocumentDeleted",
            f"Cannot recreate document with _id {id_text} that was deleted. Try to insert it "
            "without an _id or insert into another table.",
        )

    async def test_of_two_who_bring_the_same_id_one_conflicts(self, database: Database) -> None:
        """Neither finds it (database specification 1.7)."""
        hidden = await create_hidden(database, "t", 20_000)
        id_text = encode_document_id(20_000, InternalId(bytes(16)))
        transactions = [database.begin(), database.begin()]
        for tx in transactions:
            names = FutureTableNames(tx, hidden=[hidden], gone=[])
            await BulkInserter(tx, hidden, names).insert({"_id": id_text})
        await database.commit(transactions[0])
        with pytest.raises(ConflictError) as caught:
            await database.commit(transactions[1])
        assert caught.value.source.document_id == id_text

    @pytest.mark.parametrize("id_value", ["nonsense", 5.0])
    async def test_nonsense_is_no_id(self, database: Database, id_value: Value) -> None:
        hidden = await create_hidden(database, "t", 20_000)
        with pytest.raises(FenchelError) as caught:
            await fill(database, hidden, {"_id": id_value})
        assert caught.value.code == "InvalidId"


async def documents(database: Database, name: str) -> list[dict[str, Value]]:
    reader = SnapshotReader(database)
    return [
        document.value
        for size in reader.list_user_tables()
        if size.table.name == name
        async for page in reader.load_pages(size.table, page_rows=2)
        for document in page
    ]
