"""Rules, limits and error texts of db operations (execution specification 2.4 to 2.6)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from fenchel.database import Database, SystemTables, VirtualTable, table_creation
from fenchel.documents import Document, decode_document_id, encode_document_id
from fenchel.errors import ErrorKind, FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import TransactionLimits
from fenchel.values import UNDEFINED, Value
from tests.database.helpers import insert, limit, query, scan


async def error_of(operation: Awaitable[Any]) -> tuple[str, str]:
    """(code, message) of the developer error that it raises."""
    with pytest.raises(FenchelError) as caught:
        await operation
    assert caught.value.is_developer_error
    return caught.value.code, caught.value.message


class TestInsert:
    async def test_the_first_two_tables_get_the_first_two_numbers(
        self, any_database: Database
    ) -> None:
        (a,) = await insert(any_database, "a", {})
        (b,) = await insert(any_database, "b", {})
        assert [decode_document_id(text).table_number for text in (a, b)] == [10_001, 10_002]

    @pytest.mark.parametrize(
        ("table", "code", "message"),
        [
            (
                "_mine",
                "InvalidTableName",
                "Invalid table name _mine starts with metadata prefix '_'",
            ),
            (
                "no-good",
                "InvalidTableName",
                'Invalid table name: "no-good". Identifiers must start with a letter and can only '
                "contain letters, digits, and underscores.",
            ),
        ],
    )
    async def test_bad_table_names(
        self, database: Database, table: str, code: str, message: str
    ) -> None:
        assert await error_of(database.begin().user().insert(table, {})) == (code, message)

    async def test_system_fields_cannot_be_chosen(self, database: Database) -> None:
        tables = database.begin().user()
        code, _ = await error_of(tables.insert("a", {"_id": "x"}))
        assert code == "InvalidIdError"
        code, _ = await error_of(tables.insert("a", {"_creationTime": 1.0}))
        assert code == "InvalidCreationTimeError"
        code, _ = await error_of(tables.insert("a", {"_other": 1.0}))
        assert code == "InvalidDocumentError"

    async def test_tables_are_limited(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table_creation, "USER_TABLES_MAX", 2)
        await insert(database, "a", {})
        await insert(database, "b", {})
        assert await error_of(database.begin().user().insert("c", {})) == (
            "TooManyTables",
            "A deployment cannot have more than 2 tables.",
        )
        await insert(database, "b", {})


class TestGet:
    async def test_an_unknown_table_number_is_null(self, database: Database) -> None:
        unknown = encode_document_id(10_999, bytes(16))
        assert await database.begin().user().get(unknown) is None

    async def test_a_text_that_is_no_id(self, database: Database) -> None:
        assert await error_of(database.begin().user().get("nope")) == (
            "InvalidArgument",
            "Invalid argument `id` for `db.get`: Unable to decode ID: Invalid ID length 4",
        )

    async def test_the_wrong_table(self, database: Database) -> None:
        (id_text,) = await insert(database, "tasks", {})
        assert await error_of(database.begin().user().get(id_text, table="users")) == (
            "InvalidArgument",
            'Invalid argument `id` for `db.get`: expected to be an Id<"users">, got Id<"tasks"> '
            "instead.",
        )

    async def test_system_and_user_tables_do_not_mix(self, database: Database) -> None:
        (id_text,) = await insert(database, "tasks", {})
        tx = database.begin()
        system_id = await tx.system().insert("_environment_variables", {"name": "a", "value": "b"})
        assert await error_of(tx.user().get(id_text, is_system=True)) == (
            "SystemTableError",
            "User tables cannot be accessed with db.system.",
        )
        assert await error_of(tx.user().get(system_id)) == (
            "SystemTableError",
            "System tables can only be accessed with db.system.",
        )
        assert await tx.user().get(system_id, is_system=True) is None

    async def test_the_stored_text_passes_through(self, any_database: Database) -> None:
        (id_text,) = await insert(any_database, "tasks", {"big": 5, "bytes": b"x", "n": 1.0})
        document = await any_database.begin().user().get(id_text)
        assert document is not None
        assert document.value["big"] == 5
        assert '"big":{"$integer":"BQAAAAAAAAA="}' in document.value_json


class TestChange:
    async def test_patch_sets_and_removes_fields(self, any_database: Database) -> None:
        (id_text,) = await insert(any_database, "tasks", {"a": 1.0, "b": 2.0})
        tx = any_database.begin()
        patched = await tx.user().patch(id_text, {"a": UNDEFINED, "c": 3.0})
        assert {k: v for k, v in patched.value.items() if k[0] != "_"} == {"b": 2.0, "c": 3.0}
        replaced = await tx.user().replace(id_text, dict(patched.value))
        assert replaced.value == patched.value

    @pytest.mark.parametrize(
        ("method", "verb"), [("patch", "Update"), ("replace", "Replace"), ("delete", "Delete")]
    )
    async def test_missing_documents(self, database: Database, method: str, verb: str) -> None:
        (id_text,) = await insert(database, "tasks", {})
        tx = database.begin()
        await tx.user().delete(id_text)
        arguments: list[Any] = [] if method == "delete" else [{}]
        assert await error_of(getattr(tx.user(), method)(id_text, *arguments)) == (
            "NonexistentDocument",
            f"{verb} on nonexistent document ID {id_text}",
        )

    async def test_count_follows_own_writes(self, any_database: Database) -> None:
        ids = await insert(any_database, "tasks", {}, {}, {})
        tx = any_database.begin()
        await tx.user().delete(ids[0])
        await tx.user().insert("tasks", {})
        await tx.user().delete(ids[1])
        assert await tx.user().count("tasks") == 2
        assert await tx.user().count("nothing") == 0


class TestNormalizeId:
    async def test_only_ids_of_the_table_are_its_ids(self, database: Database) -> None:
        (id_text,) = await insert(database, "tasks", {})
        await insert(database, "users", {})
        tables = database.begin().user()
        assert tables.normalize_id("tasks", id_text) == id_text
        assert tables.normalize_id("users", id_text) is None
        assert tables.normalize_id("tasks", "nope") is None
        assert tables.normalize_id("missing", id_text) is None
        assert tables.normalize_id("_modules", id_text, is_system=True) is None


class TestLimits:
    """Execution specification 4.1."""

    @pytest.fixture
    def runtime(self) -> Runtime:
        limits = TransactionLimits(
            documents_read_max=3,
            bytes_read_max=1_000,
            bytes_written_max=1 << 20,
            documents_written_max=4,
            intervals_read_max=4,
            query_operators_max=5,
        )
        return Runtime(settings=Settings(transaction=limits))

    async def test_too_many_documents_read(self, database: Database) -> None:
        await insert(database, "a", *({} for _ in range(4)))
        with pytest.raises(FenchelError) as caught:
            await query(database.begin(), scan("a"))
        assert caught.value.kind is ErrorKind.PAGINATION_LIMIT
        assert caught.value.code == "TooManyDocumentsRead"
        assert "(limit: 3). Consider using smaller limits" in caught.value.message

    async def test_too_many_bytes_read(self, database: Database) -> None:
        await insert(database, "a", {"s": "x" * 600}, {"s": "x" * 600})
        assert await error_of(query(database.begin(), scan("a"))) == (
            "TooManyBytesRead",
            "Too many bytes read in a single function execution (limit: 1000 bytes). Consider "
            "using smaller limits in your queries, paginating your queries, or using indexed "
            "queries with a selective index range expressions.",
        )

    async def test_the_limits_are_those_of_convex(self) -> None:
        limits = TransactionLimits()
        assert (limits.documents_read_max, limits.bytes_read_max) == (32_000, 16 << 20)
        assert (limits.documents_written_max, limits.bytes_written_max) == (16_000, 16 << 20)
        assert limits.intervals_read_max == 4_096

    async def test_too_many_intervals_read(self, database: Database) -> None:
        await insert(database, "a", {})
        tables = database.begin().user()
        ids = [encode_document_id(10_001, bytes([place]) * 16) for place in range(5)]
        for id_text in ids[:4]:
            await tables.get(id_text)
        with pytest.raises(FenchelError) as caught:
            await tables.get(ids[4])
        assert caught.value.code == "TooManyReads"

    async def test_too_many_operators(self, database: Database) -> None:
        await insert(database, "a", {})
        assert await query(database.begin(), scan("a", *[limit(0)] * 5)) == []
        assert await error_of(query(database.begin(), scan("a", *[limit(0)] * 6))) == (
            "InvalidArgument",
            "Invalid argument `query` for `queryStream`: Query has too many operators: 6",
        )

    async def test_too_much_written(self, database: Database) -> None:
        assert await error_of(insert(database, "a", *({} for _ in range(5)))) == (
            "TooManyWrites",
            "Too many writes in a single function execution (limit: 4)",
        )
        assert await error_of(
            insert(database, "a", {"s": "x" * 700_000}, {"s": "x" * 700_000})
        ) == (
            "TooManyBytesWritten",
            "Too many bytes written in a single function execution (limit: 1 MiB)",
        )


class TestVirtualTables:
    """Execution specification 6.3."""

    @pytest.fixture
    async def database(self) -> Database:
        async def convert(document: Document, tables: SystemTables) -> dict[str, Value]:
            assert await tables.get("_file_storage", document.id_text) is not None
            return {"size": document.value["size"]}

        view = VirtualTable(name="_storage", physical_name="_file_storage", convert=convert)
        return await Database.open(MemoryPersistence(), Runtime(), [view])

    async def test_users_see_the_view(self, database: Database) -> None:
        tx = database.begin()
        id_text = await tx.system().insert("_file_storage", {"storageId": "s", "size": 5})
        document = await tx.user().get(id_text, is_system=True, table="_storage")
        assert document is not None
        assert document.id_text == id_text
        assert set(document.value) == {"_id", "_creationTime", "size"}
        assert await query(tx, scan("_storage"), "size") == [5]
        assert tx.user().normalize_id("_storage", id_text, is_system=True) == id_text
        assert await query(tx, scan("_file_storage"), "size") == []
        assert await error_of(tx.user().insert("_storage", {})) == (
            "ReadOnlyTable",
            "_storage is a read-only table",
        )
        await database.close()
