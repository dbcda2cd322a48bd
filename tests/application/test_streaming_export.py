"""A snapshot page by page, then what changed since: a copy elsewhere follows the deployment
(database specification 10.7)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.application import ExportSelection, select
from fenchel.application.streaming_export import _decode_cursor
from fenchel.database import Retention
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings, SnapshotSettings
from tests.application.fakes import SteppedClock
from tests.application.snapshots import Disk, Snapshots, running_snapshots

EVERYTHING = select(table=None, component=None)
Copy = dict[str, dict[str, Any]]


def small_pages(**snapshot: Any) -> Runtime:
    """Two rows a page, and nothing old is retained unless somebody holds it."""
    chosen = {"streaming_snapshot_rows": 2, "streaming_change_rows": 2, **snapshot}
    database = DatabaseSettings(snapshot_retention_seconds=0.0, document_retention_seconds=0.0)
    return Runtime(settings=Settings(database=database, snapshot=SnapshotSettings(**chosen)))


@pytest.fixture
async def snapshots() -> AsyncIterator[Snapshots]:
    async with running_snapshots(small_pages()) as opened:
        yield opened


async def write(snapshots: Snapshots, id_text: str, value: dict[str, Any] | None) -> None:
    """Replace a document, or delete it."""
    tx = snapshots.database.begin()
    if value is None:
        await tx.user().delete(id_text)
    else:
        await tx.user().replace(id_text, value)
    await snapshots.database.commit(tx)


async def list_page(
    snapshots: Snapshots, copy: Copy, at: tuple[int | None, str | None], **wanted: Any
) -> tuple[int, str | None]:
    page = await snapshots.streaming.list_snapshot(
        wanted.get("selection", EVERYTHING), snapshot=at[0], cursor=at[1]
    )
    for streamed in page.documents:
        assert streamed.id_text not in copy, "a document came twice"
        copy[streamed.id_text] = {**streamed.pick(), "table": streamed.table}
    return page.snapshot, page.cursor


async def list_rest(
    snapshots: Snapshots, copy: Copy, snapshot: int | None, cursor: str | None, **wanted: Any
) -> int:
    """The rest of a snapshot; its timestamp."""
    while True:
        snapshot, cursor = await list_page(snapshots, copy, (snapshot, cursor), **wanted)
        if cursor is None:
            return snapshot


async def follow(
    snapshots: Snapshots, copy: Copy, cursor: int, selection: ExportSelection = EVERYTHING
) -> int:
    """Apply what changed since; where to go on."""
    has_more = True
    while has_more:
        page = await snapshots.streaming.document_deltas(selection, cursor)
        for streamed in page.documents:
            if streamed.document is None:
                copy.pop(streamed.id_text, None)
            else:
                copy[streamed.id_text] = {**streamed.pick(), "table": streamed.table}
        cursor, has_more = page.cursor, page.has_more
    return cursor


async def state(snapshots: Snapshots, *tables: str) -> Copy:
    found: Copy = {}
    for table in tables:
        for document in await snapshots.documents(table):
            found[str(document["_id"])] = {**document, "table": table}
    return found


class TestSnapshot:
    async def test_it_has_everything_whatever_is_written_meanwhile(
        self, snapshots: Snapshots
    ) -> None:
        ids = await snapshots.insert("a", *({"n": float(n)} for n in range(5)))
        await snapshots.insert("b", {"n": 10.0})
        expected = await state(snapshots, "a", "b")
        copy: Copy = {}
        at = await list_page(snapshots, copy, (None, None))
        retention = await Retention.load(snapshots.database)
        for id_text in ids:
            await write(snapshots, id_text, None)
            await snapshots.insert("a", {"n": 99.0})
            await retention.run_round()
        await list_rest(snapshots, copy, *at)
        assert copy == expected

    async def test_without_documents_there_is_one_empty_page(self, snapshots: Snapshots) -> None:
        [only] = await snapshots.insert("a", {"n": 1.0})
        await write(snapshots, only, None)
        page = await snapshots.streaming.list_snapshot(EVERYTHING, snapshot=None, cursor=None)
        assert (page.documents, page.cursor) == ([], None)
        assert page.snapshot == snapshots.database.latest_ts()

    async def test_revisions_have_the_timestamps_of_their_commits(
        self, snapshots: Snapshots
    ) -> None:
        await snapshots.insert("a", {"n": 1.0})
        ts = snapshots.database.latest_ts()
        await snapshots.insert("b", {"n": 1.0})
        page = await snapshots.streaming.list_snapshot(
            select(table="a", component=None), snapshot=None, cursor=None
        )
        assert [streamed.ts for streamed in page.documents] == [ts]
        assert page.snapshot > ts

    @pytest.mark.parametrize(
        "cursor",
        [
            *("", "x", "{}", "[1]", "\ud800", "[" * 100_000),
            json.dumps({"tablet": "zz", "id": None}),
            json.dumps({"tablet": "00", "id": "j5"}),
            json.dumps({"tablet": 5, "id": None}),
            json.dumps({"tablet": "00", "id": None, "more": 1}),
        ],
    )
    async def test_a_cursor_that_is_none(self, snapshots: Snapshots, cursor: str) -> None:
        with pytest.raises(FenchelError) as raised:
            await snapshots.streaming.list_snapshot(EVERYTHING, snapshot=None, cursor=cursor)
        assert raised.value.code == "InvalidListSnapshotCursor"

    @settings(max_examples=40, deadline=None)
    @given(cursor=st.text(max_size=60) | st.from_regex(r'\{"tablet":".{0,40}","id":.{0,40}\}'))
    def test_whatever_comes_as_a_cursor_is_one_or_is_refused(self, cursor: str) -> None:
        refusal = None
        try:
            _decode_cursor(cursor)
        except FenchelError as error:
            refusal = error.code
        assert refusal in (None, "InvalidListSnapshotCursor")

    async def test_snapshots_of_the_future(self, snapshots: Snapshots) -> None:
        ts = snapshots.database.latest_ts() + 1
        with pytest.raises(FenchelError) as raised:
            await snapshots.streaming.list_snapshot(EVERYTHING, snapshot=ts, cursor=None)
        assert raised.value.code == "SnapshotTooNew"


class TestHolding:
    async def test_a_listing_that_nobody_goes_on_with_ends(self) -> None:
        clock = SteppedClock()
        runtime = small_pages(listed_snapshot_seconds=60.0)
        runtime = Runtime(settings=runtime.settings, clock=clock)
        async with running_snapshots(runtime) as snapshots:
            await snapshots.insert("a", *({"n": float(n)} for n in range(6)))
            at = await list_page(snapshots, {}, (None, None))
            await snapshots.insert("a", {"n": 1.0})
            retention = await Retention.load(snapshots.database)
            for _ in range(3):
                # Each page gives it the full time again.
                clock.advance(50)
                snapshots.listed.release_expired()
                await retention.run_round()
                await list_page(snapshots, {}, at)
            clock.advance(61)
            snapshots.listed.release_expired()
            await retention.run_round()
            with pytest.raises(FenchelError) as raised:
                await list_page(snapshots, {}, at)
            assert raised.value.code == "SnapshotTooOld"

    async def test_of_too_many_listings_the_least_recently_used_ends(self) -> None:
        async with running_snapshots(small_pages(listed_snapshots_max=2)) as snapshots:
            listings = []
            for _ in range(3):
                await snapshots.insert("a", *({"n": float(n)} for n in range(3)))
                listings.append(await list_page(snapshots, {}, (None, None)))
            await snapshots.insert("a", {"n": 1.0})
            await (await Retention.load(snapshots.database)).run_round()
            for listing in listings[1:]:
                await list_page(snapshots, {}, listing)
            with pytest.raises(FenchelError) as raised:
                await list_page(snapshots, {}, listings[0])
            assert raised.value.code == "SnapshotTooOld"

    async def test_a_restart_ends_them(self, tmp_path: Any) -> None:
        disk = Disk(tmp_path)
        async with disk.process(small_pages()) as snapshots:
            await snapshots.insert("a", *({"n": float(n)} for n in range(6)))
            at = await list_page(snapshots, {}, (None, None))
        async with disk.process(small_pages()) as snapshots:
            with pytest.raises(FenchelError) as raised:
                await list_page(snapshots, {}, at)
        assert raised.value.code == "SnapshotTooOld"


class TestFollowing:
    @settings(max_examples=12, deadline=None)
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["insert", "replace", "delete", "list", "follow"]),
                st.integers(0, 9),
            ),
            max_size=30,
        )
    )
    async def test_a_copy_becomes_equal(self, steps: list[tuple[str, int]]) -> None:
        """Whatever is written between any two pages."""
        async with running_snapshots(small_pages()) as snapshots:
            ids = await snapshots.insert("a", *({"n": float(n)} for n in range(3)))
            copy: Copy = {}
            snapshot, cursor = await list_page(snapshots, copy, (None, None))
            delta_cursor = None
            for step, number in steps:
                if step == "insert":
                    ids += await snapshots.insert("ab"[number % 2], {"n": float(number)})
                elif step == "replace" and ids:
                    await write(snapshots, ids[number % len(ids)], {"n": float(number) + 0.5})
                elif step == "delete" and ids:
                    await write(snapshots, ids.pop(number % len(ids)), None)
                elif step == "list" and cursor is not None:
                    snapshot, cursor = await list_page(snapshots, copy, (snapshot, cursor))
                elif step == "follow" and cursor is None:
                    delta_cursor = await follow(snapshots, copy, delta_cursor or snapshot)
            if cursor is not None:
                await list_rest(snapshots, copy, snapshot, cursor)
            await follow(snapshots, copy, delta_cursor or snapshot)
            assert copy == await state(snapshots, "a", "b")

    async def test_only_what_is_selected(self, snapshots: Snapshots) -> None:
        [first] = await snapshots.insert("a", {"n": 1.0, "secret": "s"})
        await snapshots.insert("b", {"n": 2.0})
        selection = select(table="a", component=None)
        copy: Copy = {}
        ts = await list_rest(snapshots, copy, None, None, selection=selection)
        await write(snapshots, first, {"n": 3.0})
        await snapshots.insert("b", {"n": 4.0})
        await follow(snapshots, copy, ts, selection)
        assert copy == await state(snapshots, "a")

    async def test_tables_of_components_say_whose_they_are(self, snapshots: Snapshots) -> None:
        tx = snapshots.database.begin()
        await tx.user("child/inner").insert("a", {"n": 1.0})
        await tx.user().insert("a", {"n": 2.0})
        await snapshots.database.commit(tx)
        cursor = snapshots.database.latest_ts() - 1
        page = await snapshots.streaming.document_deltas(EVERYTHING, cursor)
        found = {(streamed.component, streamed.pick()["n"]) for streamed in page.documents}
        assert found == {("child/inner", 1.0), ("", 2.0)}
        child = select(table=None, component="child/inner")
        page = await snapshots.streaming.document_deltas(child, cursor)
        assert [streamed.pick()["n"] for streamed in page.documents] == [1.0]
