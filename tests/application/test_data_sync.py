"""Pages without end that make a copy and keep it up to date (database specification 10.7)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.application.data_sync import SyncPage, _decode_cursor
from fenchel.application.export_selection import ExportSelection, select
from fenchel.database import (
    ROOT,
    BulkInserter,
    FutureTableNames,
    Retention,
    SnapshotReader,
    TableAdmin,
)
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings, SnapshotSettings
from tests.application.snapshots import Disk, Snapshots, running_snapshots

EVERYTHING = ExportSelection()
TABLES = ("a", "b")


def small_pages() -> Runtime:
    return Runtime(
        settings=Settings(
            snapshot=SnapshotSettings(streaming_snapshot_rows=2, streaming_change_rows=3),
            database=DatabaseSettings(
                snapshot_retention_seconds=0.0, document_retention_seconds=0.0
            ),
        )
    )


class Copy:
    """What a consumer has, page after page."""

    def __init__(self, snapshots: Snapshots, selection: ExportSelection = EVERYTHING) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.cursor: str | None = None
        self.selection = selection
        self._snapshots = snapshots

    async def take_page(self) -> SyncPage:
        page = await self._snapshots.sync.load_page(self.selection, self.cursor)
        for _, table in page.truncates:
            self.documents = {k: v for k, v in self.documents.items() if k[0] != table}
        for streamed in page.documents:
            if streamed.document is None:
                self.documents.pop((streamed.table, streamed.id_text), None)
            else:
                self.documents[streamed.table, streamed.id_text] = streamed.pick()
        self.cursor = page.cursor
        if page.status == "upToDate":
            assert page.snapshot_ts == self._snapshots.database.latest_ts()
            assert self.documents == stored_now(self.selection, await state(self._snapshots))
        return page

    async def catch_up(self) -> None:
        while (await self.take_page()).status != "upToDate":
            pass


def stored_now(
    selection: ExportSelection, found: dict[tuple[str, str], dict[str, Any]]
) -> dict[tuple[str, str], dict[str, Any]]:
    return {k: v for k, v in found.items() if selection.columns_of("", k[0]) is not None}


async def state(snapshots: Snapshots) -> dict[tuple[str, str], dict[str, Any]]:
    reader = SnapshotReader(snapshots.database)
    return {
        (size.table.name, document.id_text): document.value
        for size in reader.list_user_tables()
        async for page in reader.load_pages(size.table, page_rows=500)
        for document in page
    }


async def replace_table(snapshots: Snapshots, name: str, count: int) -> None:
    """As an import does: fill a hidden table in one commit, activate it in another."""
    tx = snapshots.database.begin()
    tables = TableAdmin(tx)
    hidden = await tables.create_hidden(name, tables.free_number(name))
    await snapshots.database.commit(tx)
    tx = snapshots.database.begin()
    names = FutureTableNames(tx, namespace=ROOT, hidden=[hidden], gone=[])
    for number in range(count):
        await BulkInserter(tx, hidden, names).insert({"imported": float(number)})
    await snapshots.database.commit(tx)
    tx = snapshots.database.begin()
    await TableAdmin(tx).activate([hidden])
    await snapshots.database.commit(tx)


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                ["insert", "insert", "replace", "delete", "page", "page", "import", "drop"]
            ),
            st.integers(0, 9),
        ),
        min_size=10,
        max_size=40,
    )
)
async def test_a_copy_is_the_deployment_whenever_it_is_up_to_date(
    steps: list[tuple[str, int]],
) -> None:
    """Whatever is written, imported or deleted between any two pages."""
    async with running_snapshots(small_pages()) as snapshots:
        await snapshots.insert("a", *({"n": float(n)} for n in range(5)))
        copy = Copy(snapshots)
        for step, number in steps:
            table = TABLES[number % 2]
            ids = sorted(id_text for _, id_text in await state(snapshots))
            tx = snapshots.database.begin()
            if step == "page":
                await copy.take_page()
            elif step == "import":
                await replace_table(snapshots, table, number)
            elif step == "drop" and await TableAdmin(tx).delete(table):
                await snapshots.database.commit(tx)
            elif step == "insert":
                await snapshots.insert(table, {"n": float(number)})
            elif ids and step in ("replace", "delete"):
                id_text = ids[number % len(ids)]
                if step == "replace":
                    await tx.user().replace(id_text, {"n": number + 0.5})
                else:
                    await tx.user().delete(id_text)
                await snapshots.database.commit(tx)
        await copy.catch_up()


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_the_last_document_of_a_page_is_followed(is_deleted: bool) -> None:
    async with running_snapshots(small_pages()) as snapshots:
        ids = await snapshots.insert("a", *({"n": float(n)} for n in range(5)))
        copy = Copy(snapshots)
        await copy.take_page()
        last_of_page = sorted(ids)[1]
        tx = snapshots.database.begin()
        if is_deleted:
            await tx.user().delete(last_of_page)
        else:
            await tx.user().replace(last_of_page, {"n": 9.0})
        await snapshots.database.commit(tx)
        await copy.catch_up()


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    async with disk.process() as snapshots:
        await snapshots.insert("a", *({"n": float(n)} for n in range(5)))
        copy = Copy(snapshots)
        await copy.take_page()
    async with disk.process() as snapshots:
        await snapshots.insert("a", {"n": 9.0})
        resumed = Copy(snapshots)
        resumed.documents, resumed.cursor = copy.documents, copy.cursor
        await resumed.catch_up()
        assert len(resumed.documents) == 6


async def test_tables_may_be_selected_and_deselected_on_the_way() -> None:
    async with running_snapshots(small_pages()) as snapshots:
        for table in TABLES:
            await snapshots.insert(table, {"n": 1.0}, {"n": 2.0}, {"n": 3.0})
        copy = Copy(snapshots, select(table="a", component=None))
        await copy.catch_up()
        assert {table for table, _ in copy.documents} == {"a"}
        copy.selection = select(table="b", component=None)
        page = await copy.take_page()
        assert page.status == "snapshotting"
        assert {name.table for name in page.truncates} == {"a", "b"}
        await copy.catch_up()
        assert {table for table, _ in copy.documents} == {"b"}


async def test_who_is_behind_knows() -> None:
    async with running_snapshots(small_pages()) as snapshots:
        await snapshots.insert("a", {"n": 0.0})
        copy = Copy(snapshots)
        await copy.catch_up()
        for number in range(6):
            await snapshots.insert("a", {"n": float(number)})
        page = await copy.take_page()
        assert page.status == "stale"
        assert page.snapshot_ts < snapshots.database.latest_ts()
        await copy.catch_up()


async def test_a_cursor_that_the_log_has_forgotten_expires() -> None:
    async with running_snapshots(small_pages()) as snapshots:
        [first] = await snapshots.insert("a", {"n": 0.0})
        copy = Copy(snapshots)
        await copy.catch_up()
        for number in range(3):
            tx = snapshots.database.begin()
            await tx.user().replace(first, {"n": float(number)})
            await snapshots.database.commit(tx)
        retention = await Retention.load(snapshots.database)
        await retention.run_round()
        await retention.run_round()
        with pytest.raises(FenchelError) as caught:
            await copy.take_page()
        assert caught.value.code == "DataSyncCursorExpired"


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(max_size=80)
    | st.binary(max_size=80).map(lambda data: urlsafe_b64encode(data).decode())
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x)).map(str)
)
def test_whatever_comes_as_a_cursor_is_one_or_is_refused(text: str) -> None:
    refusal = None
    try:
        _decode_cursor(text)
    except FenchelError as error:
        refusal = error.code
    assert refusal == "InvalidDataSyncCursor"
