"""Snapshot exports (database specification 10.1 and 10.3)."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fenchel.documents import Timestamp
from fenchel.errors import ConflictError, ErrorKind, FenchelError
from fenchel.model import get_export, get_latest_export_document
from fenchel.runtime import Runtime
from fenchel.runtime.settings import Settings, SnapshotSettings
from tests.application.snapshots import (
    Disk,
    KilledError,
    Snapshots,
    export_documents,
    running_snapshots,
    unzip,
)


def small_pages(rows: int = 3) -> Runtime:
    return Runtime(settings=Settings(snapshot=SnapshotSettings(export_page_rows=rows)))


def lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


class TestArchive:
    async def test_it_holds_every_table_in_the_promised_layout(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("large", *({"text": "x" * 100} for _ in range(10)))
            (small_id,) = await snapshots.insert("small", {"n": 1})
            files = unzip(await snapshots.export(include_storage=True))
        assert list(files) == [
            "README.md",
            "_tables/documents.jsonl",
            "small/generated_schema.jsonl",
            "small/documents.jsonl",
            "large/generated_schema.jsonl",
            "large/documents.jsonl",
            "_storage/documents.jsonl",
        ]
        assert lines(files["_tables/documents.jsonl"]) == [
            {"name": "large", "id": 10_001},
            {"name": "small", "id": 10_002},
        ]
        assert files["small/generated_schema.jsonl"] == b'"uniform"\n'
        assert files["_storage/documents.jsonl"] == b""
        (row,) = lines(files["small/documents.jsonl"])
        assert row["_id"] == small_id
        ids = [row["_id"] for row in lines(files["large/documents.jsonl"])]
        assert ids == sorted(ids)

    async def test_components_lie_below_their_parents(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.mount("a", "a/b")
            await snapshots.insert("t", {"n": 1}, component="")
            await snapshots.insert("t", {"n": 2}, component="a/b")
            file_id = await snapshots.store(b"content", "image/png; x=1", component="a/b")
            files = unzip(await snapshots.export(include_storage=True))
        folder = "_components/a/_components/b/"
        assert [name for name in files if name.startswith("_components/")] == [
            "_components/a/_tables/documents.jsonl",
            f"{folder}_tables/documents.jsonl",
            f"{folder}t/generated_schema.jsonl",
            f"{folder}t/documents.jsonl",
            "_components/a/_storage/documents.jsonl",
            f"{folder}_storage/documents.jsonl",
            f"{folder}_storage/{file_id}.png",
        ]
        assert lines(files[f"{folder}t/documents.jsonl"])[0]["n"] == 2
        assert files[f"{folder}_storage/{file_id}.png"] == b"content"
        (line,) = lines(files[f"{folder}_storage/documents.jsonl"])
        assert set(line) == {
            "_id",
            "_creationTime",
            "sha256",
            "size",
            "contentType",
            "internalId",
        }

    async def test_files_are_left_out_unless_they_are_asked_for(self) -> None:
        async with running_snapshots() as snapshots:
            assert list(unzip(await snapshots.export())) == ["README.md", "_tables/documents.jsonl"]

    async def test_every_type_has_its_form(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert(
                "t",
                {"i": 5, "f": 5.0, "z": -0.0, "nan": math.nan, "b": b"x", "a": [None, True, "ä"]},
            )
            text = unzip(await snapshots.export())["t/documents.jsonl"].decode()
        for form in (
            '"i":5,',
            '"f":5.0,',
            '"z":-0.0}',
            '"nan":{"$float":"AAAAAAAA+H8="}',
            '"b":{"$bytes":"eA=="}',
            '"a":[null,true,"ä"]',
        ):
            assert form in text

    async def test_it_is_one_snapshot_while_writes_go_on(self) -> None:
        """Transfers keep a sum; an export that mixed two moments would show another."""
        async with running_snapshots(small_pages()) as snapshots:
            ids = await snapshots.insert("a", *({"n": 100.0} for _ in range(20)))
            ids += await snapshots.insert("b", *({"n": 100.0} for _ in range(20)))
            is_done = asyncio.Event()
            writer = asyncio.create_task(transfer(snapshots, ids, is_done), name="writer")
            sums = []
            for _ in range(5):
                files = unzip(await snapshots.export())
                rows = lines(files["a/documents.jsonl"]) + lines(files["b/documents.jsonl"])
                assert len(rows) == 40
                sums.append(sum(row["n"] for row in rows))
            is_done.set()
            assert await writer > 20
        assert sums == [4_000.0] * 5


async def transfer(snapshots: Snapshots, ids: list[str], is_done: asyncio.Event) -> int:
    """Move one from document to document; how many times."""
    count = 0
    while not is_done.is_set():
        source, target = ids[count % len(ids)], ids[(count * 7 + 20) % len(ids)]
        count += 1
        if source == target:
            continue
        tx = snapshots.database.begin()
        for id_text, change in ((source, -1.0), (target, 1.0)):
            document = await tx.user().get(id_text)
            assert document is not None
            n = document.value["n"]
            assert isinstance(n, float)
            await tx.user().patch(id_text, {"n": n + change})
        try:
            await snapshots.database.commit(tx)
        except ConflictError as conflict:
            await snapshots.database.wait_for_ts(Timestamp(conflict.source.write_ts))
    return count


class TestRequests:
    async def test_one_at_a_time(self, tmp_path: Path) -> None:
        async with Disk(tmp_path).process() as snapshots:
            await snapshots.exports.request()
            with pytest.raises(FenchelError, match="ExportInProgress"):
                await snapshots.exports.request()

    async def test_the_newest_is_visible_at_once(self, tmp_path: Path) -> None:
        async with Disk(tmp_path).process() as snapshots:
            assert await get_latest_export_document(snapshots.database.begin()) is None
            await snapshots.exports.request()
            document = await get_latest_export_document(snapshots.database.begin())
            assert document is not None
            assert document.value["state"] == "requested"
            assert document.value["format"] == {"format": "zip", "include_storage": False}

    async def test_it_can_be_downloaded_by_the_time_of_its_snapshot(self) -> None:
        async with running_snapshots() as snapshots:
            archive = await snapshots.export()
            document = await get_latest_export_document(snapshots.database.begin())
            assert document is not None
            assert document.value["size"] == len(archive)
            assert await snapshots.download(str(document.value["start_ts"])) == archive

    @pytest.mark.parametrize(
        ("text", "code", "kind"),
        [
            ("123", "ExportNotFound", ErrorKind.NOT_FOUND),
            ("nonsense", "BadSnapshotId", ErrorKind.BAD_REQUEST),
            ("", "BadSnapshotId", ErrorKind.BAD_REQUEST),
        ],
    )
    async def test_unknown_exports(self, text: str, code: str, kind: ErrorKind) -> None:
        async with running_snapshots() as snapshots:
            with pytest.raises(FenchelError) as caught:
                await snapshots.exports.open(text)
        assert (caught.value.code, caught.value.kind) == (code, kind)

    async def test_one_that_is_not_complete_cannot_be_downloaded(self, tmp_path: Path) -> None:
        async with Disk(tmp_path).process() as snapshots:
            export_id = await snapshots.exports.request()
            with pytest.raises(FenchelError, match="ExportNotComplete"):
                await snapshots.exports.open(export_id)


class TestCancel:
    async def test_a_waiting_export_is_given_up(self, tmp_path: Path) -> None:
        async with Disk(tmp_path).process() as snapshots:
            export_id = await snapshots.exports.request()
            await snapshots.exports.cancel(export_id)
            export = await get_export(snapshots.database.begin(), export_id)
            assert export is not None
            assert export.row.state == "canceled"
            await snapshots.exports.request()

    @pytest.mark.parametrize("fault", ["export.after_page", "export.before_finish"])
    async def test_a_running_export_stops_and_leaves_nothing(self, fault: str) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.insert("t", {"n": 1})
            canceled: list[str] = []

            async def cancel() -> None:
                canceled.append(export_id)
                await snapshots.exports.cancel(export_id)

            snapshots.runtime.faults.arm(fault, cancel)
            export_id = await snapshots.exports.request()
            await snapshots.wait_exported()
            snapshots.runtime.faults.disarm(fault)
            export = await get_export(snapshots.database.begin(), export_id)
            assert export is not None
            assert canceled == [export_id]
            assert export.row.state == "canceled"
            await snapshots.export()
            assert len(await snapshots.export_storage.list_keys()) == 1

    async def test_a_finished_export_cannot_be_canceled(self) -> None:
        async with running_snapshots() as snapshots:
            export_id = await snapshots.exports.request()
            await snapshots.wait_exported()
            with pytest.raises(FenchelError, match="CannotCancelExport"):
                await snapshots.exports.cancel(export_id)


class TestExpiration:
    async def test_expired_exports_are_deleted_with_their_archives(self) -> None:
        async with running_snapshots() as snapshots:
            export_id = await snapshots.exports.request()
            await snapshots.wait_exported()
            await snapshots.export_worker.delete_expired()
            assert len(await snapshots.export_storage.list_keys()) == 1
            await snapshots.exports.set_expiration(export_id, 1)
            await snapshots.export_worker.delete_expired()
            assert await snapshots.export_storage.list_keys() == []
            with pytest.raises(FenchelError, match="ExportNotFound"):
                await snapshots.exports.open(export_id)


class TestCrash:
    @pytest.mark.parametrize("fault", ["export.after_page", "export.before_finish"])
    async def test_a_killed_export_is_made_again(self, tmp_path: Path, fault: str) -> None:
        disk = Disk(tmp_path)
        async with disk.process(small_pages()) as snapshots:
            await snapshots.insert("t", *({"n": 1} for _ in range(10)))
            export_id = await snapshots.exports.request()
            snapshots.kill_at(fault)
            with pytest.raises(KilledError):
                await snapshots.export_worker.run()
            await snapshots.insert("t", {"n": 2})
        async with disk.process() as snapshots, snapshots.running():
            await snapshots.wait_exported()
            files = export_documents(await snapshots.download(export_id))
            assert len(lines(files["t/documents.jsonl"])) == 11
            assert len(await snapshots.export_storage.list_keys()) == 1

    async def test_a_failure_of_the_disk_is_tried_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runtime = replace(Runtime(), clock=ImpatientClock())
        async with running_snapshots(runtime) as snapshots:
            await snapshots.insert("t", {"n": 1})
            failures = 3

            async def fail() -> None:
                nonlocal failures
                failures -= 1
                if failures >= 0:
                    raise OSError("disk full")

            snapshots.runtime.faults.arm("export.before_finish", fail)
            assert "t/documents.jsonl" in unzip(await snapshots.export())
        assert failures == -1


class ImpatientClock:
    """Waits of seconds are over at once; longer ones never end."""

    def __init__(self) -> None:
        self._system = Runtime().clock

    def now_ns(self) -> int:
        return self._system.now_ns()

    def monotonic(self) -> float:
        return self._system.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        if seconds > 100:
            await asyncio.Event().wait()
