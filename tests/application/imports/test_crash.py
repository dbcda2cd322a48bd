"""Imports across the end of the process, random data, and a million rows."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.application import ImportRequest
from fenchel.documents import check_document_value
from fenchel.errors import FenchelError
from fenchel.model import get_import
from fenchel.runtime import Runtime
from fenchel.runtime.settings import Settings, SnapshotSettings
from fenchel.values import Value
from tests.application.snapshots import (
    Disk,
    KilledError,
    Snapshots,
    export_documents,
    json_lines,
    running_snapshots,
)
from tests.values.strategies import values

NEW = json_lines(f'{{"n": {n}}}' for n in range(20))
ALL = [float(n) for n in range(20)]
LINES: dict[str, Any] = {"format": "jsonLines", "table": "t"}
# (fault point, the visit at which the process ends)
STEPS = [
    ("import.after_tables", 1),
    ("import.after_batch", 1),
    ("import.after_batch", 3),
    ("import.before_finish", 1),
    ("committer.before_persist", 1),
    ("committer.before_persist", 2),
    ("committer.before_persist", 3),
    ("committer.before_persist", 5),
    ("committer.before_persist", 7),
    ("committer.before_publish", 1),
    ("committer.before_publish", 2),
    ("committer.before_publish", 3),
    ("committer.before_publish", 5),
    ("committer.before_publish", 7),
]


def small_batches(rows: int = 5) -> Runtime:
    return Runtime(settings=Settings(snapshot=SnapshotSettings(import_batch_rows=rows)))


async def confirm_without_working(snapshots: Snapshots, **options: Any) -> str:
    """The id of an import that is confirmed and not begun: the workers have stopped again."""
    async with snapshots.running():
        import_id = await snapshots.upload(NEW, **options)
        await snapshots.wait_state(import_id, "waiting_for_confirmation")
    await snapshots.imports.perform(import_id)
    return import_id


async def run_until_killed(snapshots: Snapshots, fault: str, visit: int) -> None:
    """The worker ends at the fault point, by itself or because the database has stopped."""
    snapshots.kill_at(fault, visit=visit)
    with pytest.raises((KilledError, FenchelError)):
        await snapshots.import_worker.run()


@pytest.mark.parametrize(("fault", "visit"), STEPS)
@pytest.mark.parametrize("mode", ["replace", "append"])
async def test_a_killed_import_goes_on_where_it_was(
    tmp_path: Path, fault: str, visit: int, mode: str
) -> None:
    """Replacing shows the old data until the end; appending repeats nothing and loses nothing."""
    disk = Disk(tmp_path)
    async with disk.process(small_batches()) as snapshots:
        await snapshots.insert("t", {"n": 100.0})
        import_id = await confirm_without_working(snapshots, mode=mode, **LINES)
        await run_until_killed(snapshots, fault, visit)
    async with disk.process(small_batches()) as snapshots:
        if mode == "replace":
            row = (await get_import(snapshots.database.begin(), import_id)).row
            # The last commit was durable although nobody was told.
            expected = ALL if row.state.state == "completed" else [100.0]
            assert await snapshots.field("t", "n") == expected
        async with snapshots.running():
            row = await snapshots.wait_state(import_id)
        assert row.state.state == "completed", row.state.error_message
        assert row.state.num_rows_written == 20
        old = [100.0] if mode == "append" else []
        assert await snapshots.field("t", "n") == ALL + old
        assert snapshots.hidden_count() == 0


async def test_a_kill_after_the_end_changes_nothing(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    async with disk.process() as snapshots:
        import_id = await confirm_without_working(snapshots, **LINES)
        await run_until_killed(snapshots, "import.after_finish", 1)
    async with disk.process() as snapshots, snapshots.running():
        assert (await snapshots.wait_state(import_id)).state.state == "completed"
        assert len(await snapshots.documents("t")) == 20


async def test_a_killed_parse_begins_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    async with disk.process() as snapshots:
        import_id = await snapshots.upload(NEW, **LINES)
        await run_until_killed(snapshots, "import.after_parse", 1)
    async with disk.process() as snapshots, snapshots.running():
        row = await snapshots.wait_state(import_id, "waiting_for_confirmation")
        assert row.state.state == "waiting_for_confirmation"


async def test_an_import_that_ends_the_process_again_and_again_fails(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    attempts_max = SnapshotSettings().import_attempts_max
    async with disk.process() as snapshots:
        await snapshots.insert("t", {"n": 100.0})
        import_id = await confirm_without_working(snapshots, mode="replace", **LINES)
    for _ in range(attempts_max):
        async with disk.process() as snapshots:
            await run_until_killed(snapshots, "import.after_tables", 1)
    async with disk.process() as snapshots, snapshots.running():
        row = await snapshots.wait_state(import_id)
        assert row.state.state == "failed"
        assert await snapshots.field("t", "n") == [100.0]
        assert snapshots.hidden_count() == 0


async def test_uploads_that_were_not_finished_leave_nothing(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    async with disk.process() as snapshots:
        await snapshots.imports.upload_part(snapshots.imports.start_upload(), 1, b"part")
    async with disk.process() as snapshots, snapshots.running():
        await snapshots.must_import(NEW, **LINES)
        waiting = await snapshots.upload(NEW, format="jsonLines", table="u")
        await snapshots.wait_state(waiting, "waiting_for_confirmation")
        assert len(await snapshots.import_storage.list_keys()) == 1


@st.composite
def databases(draw: st.DrawFn) -> dict[str, list[dict[str, Value]]]:
    """Documents by table."""
    names = draw(st.lists(st.sampled_from(["a", "b", "c", "Z_9"]), unique=True, max_size=3))
    documents = st.dictionaries(st.sampled_from(["x", "y", "z"]), values(), max_size=3)
    return {name: draw(st.lists(documents, max_size=5)) for name in names}


@settings(max_examples=12, deadline=None)
@given(databases(), databases())
async def test_exporting_importing_and_exporting_gives_the_same(
    data: dict[str, list[dict[str, Value]]], other: dict[str, list[dict[str, Value]]]
) -> None:
    async with running_snapshots(small_batches(2)) as snapshots:
        await insert_all(snapshots, data)
        archive = await snapshots.export()
        await insert_all(snapshots, other)
        await snapshots.must_import(archive, mode="replaceAll")
        assert export_documents(await snapshots.export()) == export_documents(archive)
    async with running_snapshots() as snapshots:
        await snapshots.must_import(archive)
        assert export_documents(await snapshots.export()) == export_documents(archive)


async def insert_all(snapshots: Snapshots, data: dict[str, list[dict[str, Value]]]) -> None:
    for name, documents in data.items():
        valid = [document for document in documents if is_document(document)]
        if valid:
            await snapshots.insert(name, *valid)


def is_document(value: dict[str, Value]) -> bool:
    try:
        check_document_value({"_id": "x", "_creationTime": 1.0, **value})
    except FenchelError:
        return False
    return True


async def rows(count: int) -> AsyncIterator[bytes]:
    """JSONL of that many documents of about 100 bytes, a thousand at once."""
    text = "x" * 60
    for start in range(0, count, 1_000):
        yield json_lines(
            f'{{"n": {n}, "text": "{text}"}}' for n in range(start, min(start + 1_000, count))
        )


async def round_trip(tmp_path: Path, count: int) -> int:
    """Import a file, export, and import the export; the peak of memory in bytes.

    The caches of documents are made small, because what is measured is what the work itself needs.
    """
    runtime = Runtime()
    database = replace(runtime.settings.database, document_cache_bytes_max=1 << 20)
    runtime = replace(runtime, settings=replace(runtime.settings, database=database))
    async with Disk(tmp_path).process(runtime) as snapshots, snapshots.running():
        tracemalloc.start()
        request = ImportRequest(format="jsonLines", table_name="t")
        assert await snapshots.imports.import_file(request, rows(count)) == count
        archive_id = await snapshots.exports.request()
        await snapshots.wait_exported(seconds_max=3_000)
        exported = await snapshots.exports.open(archive_id)

        async def chunks() -> AsyncIterator[bytes]:
            while chunk := exported.file.read(1 << 18):
                yield chunk

        request = ImportRequest(format="zip", mode="replaceAll")
        with exported.file:
            assert await snapshots.imports.import_file(request, chunks()) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.slow
async def test_memory_is_bounded_at_a_million_rows(tmp_path: Path) -> None:
    assert await round_trip(tmp_path, 1_000_000) < 120 << 20
