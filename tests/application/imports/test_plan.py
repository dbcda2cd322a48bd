"""Imports into components (database specification 10.5, steps 2 to 4 and 7)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fenchel.model import get_component, list_components
from tests.application.snapshots import export_documents, json_lines, make_zip, running_snapshots

ROWS = json_lines(['{"n": 1}', '{"n": 2}'])
LINES: dict[str, Any] = {"format": "jsonLines", "table": "t"}


async def test_an_export_restores_components_here_and_elsewhere() -> None:
    async with running_snapshots() as snapshots:
        await snapshots.mount("a", "a/b")
        for component in ("", "a", "a/b"):
            value = {"where": component, "i": 5, "f": 5.0, "nan": math.nan, "b": b"\0"}
            await snapshots.insert("t", value, component=component)
        before = await snapshots.export()
        await snapshots.insert("t", {"n": 3}, component="a")
        await snapshots.insert("late", {"n": 3}, component="a/b")
        await snapshots.must_import(before, mode="replaceAll")
        assert export_documents(await snapshots.export()) == export_documents(before)
    async with running_snapshots() as elsewhere:
        await elsewhere.must_import(before)
        assert export_documents(await elsewhere.export()) == export_documents(before)


@pytest.mark.parametrize("mode", ["replace", "requireEmpty"])
async def test_tables_of_other_components_stay(mode: str) -> None:
    async with running_snapshots() as snapshots:
        await snapshots.mount("a", "b")
        await snapshots.insert("t", {"n": 7})
        await snapshots.insert("t", {"n": 8}, component="b")
        row = await snapshots.must_import(ROWS, component="a", mode=mode, **LINES)
        assert row.state.num_rows_written == 2
        assert {d["n"] for d in await snapshots.documents("t", component="a")} == {1, 2}
        assert await snapshots.field("t", "n") == [7]
        assert len(await snapshots.documents("t", component="b")) == 1


async def test_replace_all_reaches_every_component() -> None:
    async with running_snapshots() as snapshots:
        await snapshots.mount("a")
        await snapshots.insert("u", {"n": 7}, component="a")
        await snapshots.must_import(ROWS, mode="replaceAll", **LINES)
        assert await snapshots.documents("u", component="a") == []
        assert await snapshots.field("t", "n") == [1, 2]


async def test_append_adds_to_a_table_of_a_component() -> None:
    async with running_snapshots() as snapshots:
        await snapshots.must_import(ROWS, component="a", **LINES)
        refused = await snapshots.import_file(ROWS, component="a", **LINES)
        assert refused.error_code == "TableExists"
        await snapshots.must_import(ROWS, component="a", mode="append", **LINES)
        assert len(await snapshots.documents("t", component="a")) == 4
        assert await snapshots.documents("t") == []


async def test_a_component_that_no_push_has_brought_is_there_unmounted() -> None:
    async with running_snapshots() as snapshots:
        await snapshots.must_import(ROWS, component="a/b", **LINES)
        tx = snapshots.database.begin()
        rows = {stored.row.path: stored for stored in await list_components(tx)}
        assert list(rows) == ["", "a", "a/b"]
        assert [stored.row.is_active for stored in rows.values()] == [True, False, False]
        assert rows["a/b"].row.parent == rows["a"].id_text
        assert rows["a"].row.parent == rows[""].id_text


async def test_an_app_without_components_gets_none() -> None:
    async with running_snapshots() as snapshots:
        await snapshots.must_import(ROWS, **LINES)
        assert await get_component(snapshots.database.begin(), "") is None


async def test_a_canceled_import_leaves_nothing_in_a_component() -> None:
    async with running_snapshots() as snapshots:
        broken = make_zip({"_components/a/t/documents.jsonl": '{"_id": "x"}\n'})
        row = await snapshots.import_file(broken)
        assert row.error_code == "InvalidId"
        assert snapshots.hidden_count() == 0
        assert await snapshots.documents("t", component="a") == []


async def test_the_summary_has_a_table_for_each_component() -> None:
    async with running_snapshots() as snapshots:
        await snapshots.mount("a")
        await snapshots.insert("t", {"n": 1}, component="a")
        archive = make_zip(
            {"t/documents.jsonl": '{"n": 1}\n', "_components/a/t/documents.jsonl": '{"n": 2}\n'}
        )
        import_id = await snapshots.upload(archive, mode="replace")
        row = await snapshots.wait_state(import_id, "waiting_for_confirmation")
        message = row.state.message_to_confirm or ""
        app, _, component = message.partition("Component a\n")
        assert "0 of 0" in app
        assert "1 of 1" in component
        assert row.state.require_manual_confirmation
