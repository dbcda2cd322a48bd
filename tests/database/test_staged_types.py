"""What a schema stages: compared with all documents, refusing none, and then known to hold
(database specification 5.1 and 5.7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fenchel.database import Database, SchemaTables, StagedTypes, TableAdmin, schema_validator
from fenchel.database.background import walk_table
from fenchel.database.metadata import Table
from fenchel.database.staged_types import StagedState
from fenchel.errors import FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from tests.database.helpers import insert, object_type, patch, push, schema, start_push, workers

NUMBERS = object_type(n="number")
ANY: dict[str, Any] = {"type": "any"}


def staging(
    staged: dict[str, Any] | None, *, enforced: dict[str, Any] | None = None, table: str = "items"
) -> str:
    return schema({table: {"type": enforced or ANY, "staged_type": staged}})


def numbers_or_null() -> dict[str, Any]:
    member = {"type": "union", "value": [{"type": "number"}, {"type": "null"}]}
    return {"type": "object", "value": {"n": {"fieldType": member, "optional": False}}}


async def states(database: Database) -> dict[str, tuple[str, str | None]]:
    """State and error of what the active schema stages, by table."""
    tx = database.begin()
    active = await SchemaTables(tx).get_active()
    if active is None:
        return {}
    found = await StagedTypes(tx, "").list(active.id_text)
    return {staged.table_name: (staged.state.value, staged.error) for staged in found}


async def settle(database: Database) -> dict[str, tuple[str, str | None]]:
    """The states once the worker has nothing left to do."""
    async with workers(database):
        while True:
            tx = database.begin()
            active = await SchemaTables(tx).get_active()
            assert active is not None
            found = await StagedTypes(tx, "").list(active.id_text)
            if all(staged.state is not StagedState.PENDING for staged in found):
                return await states(database)
            changed = asyncio.Event()
            subscription = database.subscribe(
                database.token(tx),
                lambda _, event=changed: event.set(),  # type: ignore[misc]
            )
            await changed.wait()
            subscription.close()


class TestComparing:
    async def test_documents_that_match_make_it_valid(
        self, any_database: Database, walked: list[str]
    ) -> None:
        await insert(any_database, "items", {"n": 1.0}, {"n": 2.0})
        await push(any_database, staging(NUMBERS))
        walked.clear()
        assert await settle(any_database) == {"items": ("valid", None)}
        assert walked == ["items"]

    async def test_a_document_that_does_not_fails_it_and_nothing_else(
        self, any_database: Database
    ) -> None:
        (id_text,) = await insert(any_database, "items", {"n": "x"})
        await push(any_database, staging(NUMBERS))
        state, error = (await settle(any_database))["items"]
        assert state == "failed"
        assert (error or "").startswith(
            f'Document with ID "{id_text}" in table "items" does not match the schema: Value does '
            "not match validator.\nPath: .n\n"
        )

    async def test_what_is_enforced_need_not_be_looked_at(
        self, database: Database, walked: list[str]
    ) -> None:
        await push(database, staging(None, enforced=NUMBERS))
        await insert(database, "items", {"n": 1.0})
        await push(database, staging(numbers_or_null(), enforced=NUMBERS))
        assert await settle(database) == {"items": ("valid", None)}
        assert walked == []

    async def test_writes_that_do_not_match_succeed_and_fail_it(
        self, any_database: Database
    ) -> None:
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        await push(any_database, staging(NUMBERS))
        await settle(any_database)
        await patch(any_database, id_text, n=2.0)
        assert await states(any_database) == {"items": ("valid", None)}
        await patch(any_database, id_text, n="x")
        state, error = (await states(any_database))["items"]
        assert state == "failed"
        assert (error or "").startswith('New document in table "items" does not match the schema: ')
        await patch(any_database, id_text, n=None)
        assert (await states(any_database))["items"] == ("failed", error)
        assert (await any_database.begin().user().get(id_text)) is not None

    async def test_a_write_may_decide_before_the_worker(self, database: Database) -> None:
        await push(database, staging(NUMBERS))
        await insert(database, "items", {"n": "x"})
        assert (await settle(database))["items"][0] == "failed"

    async def test_a_write_behind_the_walk_is_not_overlooked(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = await insert(database, "items", *({"n": float(n)} for n in range(1_200)))
        await push(database, staging(object_type(n="string")))
        await settle(database)

        async def walk_and_write(database: Database, table: Table) -> AsyncIterator[Any]:
            async for page in walk_table(database, table):
                yield page
                await patch(database, min(ids), n="x")

        monkeypatch.setattr(schema_validator, "walk_table", walk_and_write)
        await push(database, staging(NUMBERS))
        state, error = (await settle(database))["items"]
        assert state == "failed"
        assert (error or "").startswith('New document in table "items"')

    async def test_rolled_back_writes_decide_nothing(self, database: Database) -> None:
        await push(database, staging(NUMBERS))
        await settle(database)
        tx = database.begin()
        tx.begin_subtransaction()
        await tx.user().insert("items", {"n": "x"})
        tx.rollback_subtransaction()
        await tx.user().insert("items", {"n": 1.0})
        await database.commit(tx)
        assert await states(database) == {"items": ("valid", None)}

    async def test_it_counts_without_schema_validation_too(self, database: Database) -> None:
        await insert(database, "items", {"n": "x"})
        tables = {"items": {"type": NUMBERS, "staged_type": NUMBERS}}
        await push(database, schema(tables, validation=False))
        assert (await settle(database))["items"][0] == "failed"

    async def test_it_survives_a_restart(self) -> None:
        persistence = MemoryPersistence()
        database = await Database.open(persistence, Runtime())
        await insert(database, "items", {"n": 1.0})
        await push(database, staging(NUMBERS))
        await database.close()
        database = await Database.open(persistence, Runtime())
        assert await settle(database) == {"items": ("valid", None)}
        await database.close()


class TestPushes:
    async def test_enforcing_what_was_proven_walks_nothing(
        self, database: Database, walked: list[str]
    ) -> None:
        await insert(database, "items", {"n": 1.0})
        await push(database, staging(NUMBERS))
        await settle(database)
        walked.clear()
        await push(database, staging(None, enforced=numbers_or_null()))
        assert walked == []
        with pytest.raises(FenchelError):
            await insert(database, "items", {"n": "x"})

    async def test_enforcing_what_has_failed_walks(
        self, database: Database, walked: list[str]
    ) -> None:
        (id_text,) = await insert(database, "items", {"n": "x"})
        await push(database, staging(NUMBERS))
        await settle(database)
        await patch(database, id_text, n=1.0)
        walked.clear()
        await push(database, staging(None, enforced=NUMBERS))
        assert walked == ["items"]

    async def test_a_wider_staged_type_is_proven_already(
        self, database: Database, walked: list[str]
    ) -> None:
        await insert(database, "items", {"n": 1.0})
        await push(database, staging(NUMBERS))
        await settle(database)
        walked.clear()
        await push(database, staging(numbers_or_null()))
        assert await states(database) == {"items": ("valid", None)}
        assert walked == []
        await push(database, staging(object_type(n="string")))
        assert (await settle(database))["items"][0] == "failed"

    async def test_the_same_push_looks_again_at_what_failed(self, database: Database) -> None:
        (id_text,) = await insert(database, "items", {"n": "x"})
        await push(database, staging(NUMBERS))
        assert (await settle(database))["items"][0] == "failed"
        await patch(database, id_text, n=1.0)
        assert (await states(database))["items"][0] == "failed"
        await push(database, staging(NUMBERS))
        assert await settle(database) == {"items": ("valid", None)}

    async def test_a_table_is_not_walked_twice(self, database: Database) -> None:
        await insert(database, "items", {"n": 1.0})
        both = staging(object_type(n="string"), enforced=NUMBERS)
        with pytest.raises(FenchelError) as caught:
            await start_push(database, both)
        assert caught.value.code == "StagedSchemaWithEnforcedValidatorChanges"
        assert "needs their documents walked: items." in caught.value.message
        assert await SchemaTables(database.begin()).get_pending() is None
        await push(database, staging(None, enforced=NUMBERS))
        await push(database, both)

    async def test_rows_go_with_their_schema(self, database: Database) -> None:
        await push(database, staging(NUMBERS))
        await push(database, staging(None))
        rows = (
            await database.begin().system().query("_schema_validations", "by_schema_id_and_table")
        )
        assert rows == []


class TestDeletedTables:
    async def test_ids_of_a_table_that_goes_are_no_longer_proven(self, database: Database) -> None:
        (user,) = await insert(database, "users", {"n": 1.0})
        await insert(database, "items", {"user": user})
        reference = {"fieldType": {"type": "id", "tableName": "users"}, "optional": False}
        await push(database, staging({"type": "object", "value": {"user": reference}}))
        assert await settle(database) == {"items": ("valid", None)}
        tx = database.begin()
        users = TableAdmin(tx).find("users")
        assert users is not None
        await TableAdmin(tx).discard(users)
        await database.commit(tx)
        assert await states(database) == {
            "items": (
                "failed",
                "Table users is referenced by the staged validator for items but was deleted or "
                "replaced; redeploy to revalidate items.",
            )
        }
