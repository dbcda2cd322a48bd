"""What an import does to the tables (database specification 10.4 and 10.5)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fenchel.application import ImportRequest
from fenchel.application.transactions import run_transaction
from fenchel.database import Database, TableAdmin
from fenchel.documents import encode_document_id
from fenchel.errors import FenchelError
from fenchel.model import ImportRow
from tests.application.snapshots import (
    Snapshots,
    export_documents,
    in_chunks,
    json_lines,
    make_zip,
    running_snapshots,
)
from tests.database.helpers import (
    index_range,
    is_invalidated,
    object_type,
    push,
    query,
    scan,
    schema,
)

ROWS = json_lines(['{"n": 1}', '{"n": 2}'])
LINES: dict[str, Any] = {"format": "jsonLines", "table": "t"}
T = ImportRequest(format="jsonLines", table_name="t")
V = ImportRequest(format="jsonLines", table_name="v")


def error_of(row: ImportRow) -> str:
    """The text of a failed import behind the common beginning."""
    assert row.state.state == "failed"
    assert row.state.error_message is not None
    assert row.state.error_message.startswith("Hit an error while importing:\n")
    return row.state.error_message.partition("\n")[2]


def reference_type(table: str) -> dict[str, Any]:
    field = {"fieldType": {"type": "id", "tableName": table}, "optional": False}
    return {"type": "object", "value": {"ref": field}}


def archive_of(tables: dict[str, tuple[int, list[dict[str, Any]]]]) -> bytes:
    """An archive of these tables, with their numbers."""
    files = {
        "_tables/documents.jsonl": "".join(
            json.dumps({"name": name, "id": number}) + "\n" for name, (number, _) in tables.items()
        )
    }
    for name, (_, rows) in tables.items():
        files[f"{name}/documents.jsonl"] = json_lines(map(json.dumps, rows)).decode()
    return make_zip(files)


def id_of(number: int, n: int = 0) -> str:
    return encode_document_id(number, n.to_bytes(16, "big"))


class TestFormats:
    @pytest.mark.parametrize(
        ("format", "content"),
        [("csv", b"n\n1\n2\n"), ("jsonLines", ROWS), ("jsonArray", b'[{"n": 1}, {"n": 2}]')],
    )
    async def test_a_file_fills_a_table(self, format: str, content: bytes) -> None:
        async with running_snapshots() as snapshots:
            row = await snapshots.must_import(content, format=format, table="t", part_bytes=3)
            assert row.state.num_rows_written == 2
            assert await snapshots.field("t", "n") == [1.0, 2.0]

    async def test_empty_cells_of_optional_fields_are_left_out(self) -> None:
        async with running_snapshots() as snapshots:
            optional = {"fieldType": {"type": "number"}, "optional": True}
            text = {"fieldType": {"type": "string"}, "optional": False}
            fields = {"type": "object", "value": {"n": optional, "s": text}}
            await push(snapshots.database, schema({"t": {"type": fields}}))
            await snapshots.must_import(b"n,s\n,\n1,x\n", format="csv", table="t")
            documents = await snapshots.documents("t")
        assert sorted(len(document) for document in documents) == [3, 4]

    async def test_a_zip_restores_what_was_exported(self) -> None:
        async with running_snapshots() as snapshots:
            ids = await snapshots.insert("a", {"n": 1, "f": -0.0, "b": b"\0"}, {"n": 2})
            await snapshots.insert("b", {"ref": ids[0]})
            before = await snapshots.export()
            await snapshots.insert("a", {"n": 3})
            await snapshots.insert("late", {"n": 3})
            await snapshots.must_import(before, mode="replaceAll")
            assert export_documents(await snapshots.export()) == export_documents(before)


class TestStates:
    async def test_a_person_is_asked_only_if_something_goes_away(self) -> None:
        async with running_snapshots() as snapshots:
            first = await snapshots.upload(ROWS, **LINES)
            row = await snapshots.wait_state(first, "waiting_for_confirmation")
            assert row.state.require_manual_confirmation is False
            await snapshots.imports.perform(first)
            await snapshots.wait_state(first)

            second = await snapshots.upload(ROWS, mode="replace", **LINES)
            row = await snapshots.wait_state(second, "waiting_for_confirmation")
            assert row.state.require_manual_confirmation is True
            assert row.state.message_to_confirm is not None
            assert "t     | 2      | 2 of 2 |" in row.state.message_to_confirm

    async def test_nothing_happens_before_the_confirmation(self) -> None:
        async with running_snapshots() as snapshots:
            import_id = await snapshots.upload(ROWS, **LINES)
            await snapshots.wait_state(import_id, "waiting_for_confirmation")
            assert await snapshots.documents("t") == []
            assert snapshots.hidden_count() == 0

    async def test_the_file_is_deleted_at_the_end(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.must_import(ROWS, **LINES)
            await snapshots.import_file(b"{", format="jsonLines", table="u")
            await snapshots.imports.import_file(V, in_chunks(ROWS))
            # The worker looks at the leftovers before it takes up the next import.
            await snapshots.upload(ROWS, format="jsonLines", table="w")
            waiting = await snapshots.upload(ROWS, format="jsonLines", table="x")
            await snapshots.wait_state(waiting, "waiting_for_confirmation")
            assert len(await snapshots.import_storage.list_keys()) == 1

    async def test_a_cancelled_import_leaves_the_old_data(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 0})

            async def cancel() -> None:
                await snapshots.imports.cancel(import_id)

            snapshots.runtime.faults.arm("import.before_finish", cancel)
            import_id = await snapshots.upload(ROWS, mode="replace", **LINES)
            await snapshots.wait_state(import_id, "waiting_for_confirmation")
            await snapshots.imports.perform(import_id)
            row = await snapshots.wait_state(import_id)
            assert row.state.error_message == "Import canceled"
            assert await snapshots.field("t", "n") == [0]
            assert snapshots.hidden_count() == 0
            with pytest.raises(FenchelError, match="CannotCancelImport"):
                await snapshots.imports.cancel(import_id)

    async def test_old_imports_fail(self) -> None:
        async with running_snapshots() as snapshots:
            import_id = await snapshots.upload(ROWS, **LINES)
            await snapshots.wait_state(import_id, "waiting_for_confirmation")
            tx = snapshots.database.begin()
            document = await tx.system().get("_snapshot_imports", import_id)
            assert document is not None
            await tx.system().replace(
                "_snapshot_imports", import_id, {**document.value, "createdNs": 1}
            )
            await snapshots.database.commit(tx)
            row = await snapshots.wait_state(import_id)
            assert row.state.error_message is not None
            assert "took too long" in row.state.error_message

    async def test_an_import_in_one_request_gives_the_number_of_rows(self) -> None:
        async with running_snapshots() as snapshots:
            assert await snapshots.imports.import_file(T, in_chunks(ROWS)) == 2
            with pytest.raises(FenchelError) as caught:
                await snapshots.imports.import_file(T, in_chunks(ROWS))
            assert caught.value.code == "TableExists"


class TestModes:
    async def test_require_empty_refuses_tables_with_documents(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 0})
            row = await snapshots.import_file(ROWS, **LINES)
            assert error_of(row).startswith("Table t already exists.")
            assert row.error_code == "TableExists"
            assert await snapshots.field("t", "n") == [0]

    async def test_require_empty_looks_again_at_the_end(self) -> None:
        async with running_snapshots() as snapshots:

            async def insert() -> None:
                await snapshots.insert("t", {"n": 0})

            snapshots.runtime.faults.arm("import.before_finish", insert)
            assert "already exists" in error_of(await snapshots.import_file(ROWS, **LINES))
            assert await snapshots.field("t", "n") == [0]
            assert snapshots.hidden_count() == 0

    async def test_append_adds(self) -> None:
        async with running_snapshots() as snapshots:
            ids = await snapshots.insert("t", {"n": 0.0})
            await snapshots.must_import(ROWS, mode="append", **LINES)
            assert await snapshots.field("t", "n") == [0.0, 1.0, 2.0]
            assert ids[0] in await snapshots.field("t", "_id")

    async def test_append_refuses_ids_that_are_there(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 0.0})
            archive = await snapshots.export()
            row = await snapshots.import_file(archive, mode="append")
            assert row.error_code == "DocumentExists"
            assert await snapshots.field("t", "n") == [0.0]

    async def test_ids_of_deleted_documents_come_back_with_their_table_only(self) -> None:
        async with running_snapshots() as snapshots:
            (id_text,) = await snapshots.insert("t", {"n": 0.0})
            archive = await snapshots.export()
            tx = snapshots.database.begin()
            await tx.user().delete(id_text)
            await snapshots.database.commit(tx)
            row = await snapshots.import_file(archive, mode="append")
            assert row.error_code == "DocumentDeleted"
            assert await snapshots.field("t", "n") == []
            await snapshots.must_import(archive, mode="replace")
            assert await snapshots.field("t", "_id") == [id_text]

    async def test_replace_leaves_other_tables_alone(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 0})
            await snapshots.insert("other", {"n": 0})
            await snapshots.must_import(ROWS, mode="replace", **LINES)
            assert await snapshots.field("t", "n") == [1.0, 2.0]
            assert await snapshots.field("other", "n") == [0]

    async def test_replace_all_deletes_other_tables(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("other", {"n": 0})
            await snapshots.must_import(ROWS, mode="replaceAll", **LINES)
            assert snapshots.table_numbers().keys() == {"t"}

    async def test_replace_all_empties_the_tables_of_the_schema(self) -> None:
        async with running_snapshots() as snapshots:
            await push(snapshots.database, schema({"kept": {"indexes": {"by_n": ["n"]}}}))
            await snapshots.insert("kept", {"n": 0})
            number = snapshots.table_numbers()["kept"]
            await snapshots.must_import(ROWS, mode="replaceAll", **LINES)
            assert snapshots.table_numbers()["kept"] == number
            by_n = index_range("by_n")
            by_n["source"]["indexName"] = "kept.by_n"
            assert await query(snapshots.database.begin(), by_n) == []

    async def test_an_emptied_table_gives_up_a_number_that_the_file_wants(self) -> None:
        async with running_snapshots() as snapshots:
            await push(snapshots.database, schema({"kept": {}}))
            number = snapshots.table_numbers()["kept"]
            archive = archive_of({"t": (number, [{"_id": id_of(number)}])})
            await snapshots.must_import(archive, mode="replaceAll")
            numbers = snapshots.table_numbers()
            assert numbers["t"] == number
            assert numbers.keys() == {"t", "kept"}

    async def test_readers_see_all_of_it_at_once(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 0.0})
            seen: list[list[Any]] = []

            async def look() -> None:
                seen.append(await snapshots.field("t", "n"))

            for fault in ("import.after_tables", "import.after_batch", "import.before_finish"):
                snapshots.runtime.faults.arm(fault, look)
            await snapshots.must_import(ROWS, mode="replace", **LINES)
            assert seen == [[0.0]] * 3
            assert await snapshots.field("t", "n") == [1.0, 2.0]

    async def test_live_queries_hear_of_it(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 0.0})
            tx = snapshots.database.begin()
            await query(tx, scan("t"))
            await snapshots.must_import(ROWS, mode="replace", **LINES)
            assert is_invalidated(snapshots.database, tx)


class TestNumbers:
    async def test_the_list_of_tables_decides(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.must_import(archive_of({"a": (10_050, []), "b": (10_040, [])}))
            assert snapshots.table_numbers() == {"a": 10_050, "b": 10_040}

    async def test_the_first_id_decides_without_a_list(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.must_import(json_lines([f'{{"_id": "{id_of(10_077)}"}}']), **LINES)
            assert snapshots.table_numbers() == {"t": 10_077}

    async def test_a_table_keeps_its_number_otherwise(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("other", {})
            await snapshots.insert("t", {})
            numbers = snapshots.table_numbers()
            await snapshots.must_import(ROWS, mode="replace", **LINES)
            assert snapshots.table_numbers() == numbers

    async def test_tables_can_change_their_numbers(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("a", {})
            await snapshots.insert("b", {})
            archive = archive_of({"a": (10_002, []), "b": (10_001, [])})
            await snapshots.must_import(archive, mode="replace")
            assert snapshots.table_numbers() == {"a": 10_002, "b": 10_001}

    async def test_a_table_that_stays_keeps_its_number(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("stays", {"n": 0})
            archive = archive_of({"t": (10_001, [{"_id": id_of(10_001)}])})
            row = await snapshots.import_file(archive)
            assert "`t` has IDs that conflict with existing table `stays`" in error_of(row)
            assert "--replace-all" in error_of(row)
            assert snapshots.hidden_count() == 0

    async def test_numbers_of_system_tables_are_taken(self) -> None:
        async with running_snapshots() as snapshots:
            row = await snapshots.import_file(archive_of({"t": (513, [])}))
            assert row.error_code == "TableConflict"

    async def test_two_tables_cannot_have_one_number(self) -> None:
        ids = {"_id": id_of(10_050)}
        files = {f"{name}/documents.jsonl": json.dumps(ids) for name in "ab"}
        async with running_snapshots() as snapshots:
            row = await snapshots.import_file(make_zip(files))
            assert error_of(row) == "conflict between `a` and `b` with number 10050"

    async def test_ids_of_one_table_have_one_number(self) -> None:
        async with running_snapshots() as snapshots:
            rows = [f'{{"_id": "{id_of(10_001)}"}}', f'{{"_id": "{id_of(10_002)}"}}']
            row = await snapshots.import_file(json_lines(rows), **LINES)
            assert row.error_code == "ImportConflict"
            assert snapshots.table_numbers() == {}


class TestSchemas:
    async def test_documents_must_match_the_active_schema(self) -> None:
        async with running_snapshots() as snapshots:
            await push(snapshots.database, schema({"t": {"type": object_type(n="string")}}))
            row = await snapshots.import_file(ROWS, **LINES)
            assert row.error_code == "SchemaEnforcementError"
            assert await snapshots.documents("t") == []
            assert snapshots.hidden_count() == 0

    async def test_ids_are_checked_against_the_tables_as_they_will_be(self) -> None:
        async with running_snapshots() as snapshots:
            await push(snapshots.database, schema({"t": {}, "u": {"type": reference_type("t")}}))
            archive = archive_of(
                {
                    "u": (10_051, [{"ref": id_of(10_050)}]),
                    "t": (10_050, [{"_id": id_of(10_050)}]),
                }
            )
            await snapshots.must_import(archive)

    async def test_ids_of_replaced_numbers_are_refused(self) -> None:
        async with running_snapshots() as snapshots:
            await push(snapshots.database, schema({"t": {}, "u": {"type": reference_type("t")}}))
            old = snapshots.table_numbers()["t"]
            archive = archive_of({"t": (10_050, []), "u": (10_051, [{"ref": id_of(old)}])})
            row = await snapshots.import_file(archive)
            assert row.error_code == "SchemaEnforcementError"

    async def test_a_table_that_others_refer_to_keeps_its_number(self) -> None:
        async with running_snapshots() as snapshots:
            await push(snapshots.database, schema({"t": {}, "u": {"type": reference_type("t")}}))
            (ref,) = await snapshots.insert("t", {"n": 1})
            await snapshots.insert("u", {"ref": ref})
            row = await snapshots.import_file(archive_of({"t": (10_050, [])}), mode="replace")
            assert error_of(row) == (
                "Import changes table 't' which is referenced by 'u' in the schema"
            )
            assert len(await snapshots.documents("t")) == 1

    async def test_a_push_in_between_fails_the_import(self) -> None:
        async with running_snapshots() as snapshots:

            async def push_schema() -> None:
                snapshots.runtime.faults.disarm("import.after_tables")
                await push(snapshots.database, schema({"t": {}}))

            snapshots.runtime.faults.arm("import.after_tables", push_schema)
            row = await snapshots.import_file(ROWS, **LINES)
            assert row.error_code == "ImportSchemaChanged"
            assert snapshots.hidden_count() == 0


class TestConcurrency:
    async def test_writers_of_other_tables_do_not_disturb(self) -> None:
        rows = json_lines(f'{{"n": {n}}}' for n in range(2_000))
        async with running_snapshots() as snapshots:
            is_done = asyncio.Event()
            writer = asyncio.create_task(write_new_tables(snapshots, is_done), name="writer")
            await snapshots.must_import(rows, mode="append", **LINES)
            is_done.set()
            await writer
            assert len(await snapshots.documents("t")) == 2_000

    async def test_a_table_that_is_deleted_meanwhile_fails_an_append(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 0})

            async def delete() -> None:
                await delete_table(snapshots.database, "t")

            snapshots.runtime.faults.arm("import.after_tables", delete)
            row = await snapshots.import_file(ROWS, mode="append", **LINES)
            assert "deleted or replaced" in error_of(row)


async def write_new_tables(snapshots: Snapshots, is_done: asyncio.Event) -> None:
    """Insert into tables that do not exist yet, which changes what every import depends on."""
    count = 0
    while not is_done.is_set() and count < 50:
        name = f"new{count}"
        await run_transaction(
            snapshots.database,
            snapshots.runtime,
            lambda tx, name=name: tx.user().insert(name, {}),  # type: ignore[misc]
        )
        count += 1


async def delete_table(database: Database, name: str) -> None:
    tx = database.begin()
    await TableAdmin(tx).delete(name)
    await database.commit(tx)
