"""Files of users in exports and imports (database specification 10.1 and 10.5, step 6)."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from fenchel.documents import encode_document_id
from tests.application.snapshots import (
    Disk,
    KilledError,
    Snapshots,
    export_documents,
    make_zip,
    running_snapshots,
)
from tests.database.helpers import push, schema

CONTENT = b"\0a file\xff" * 1_000
FILE_ID = encode_document_id(540, (7).to_bytes(16, "big"))
UUID = "11111111-2222-4333-8444-555555555555"


def archive_of(content: str = "content", **fields: Any) -> bytes:
    """An archive of one file, listed with these fields."""
    return make_zip(
        {
            "_storage/documents.jsonl": json.dumps({"_id": FILE_ID, **fields}) + "\n",
            f"_storage/{FILE_ID}.png": content,
        }
    )


async def metadata(snapshots: Snapshots, file_id: str, component: str = "") -> dict[str, Any]:
    document = await snapshots.database.begin().user(component).get(file_id, is_system=True)
    assert document is not None
    return document.value


class TestRoundTrip:
    @pytest.mark.parametrize("component", ["", "a"])
    async def test_files_come_back_with_ids_and_urls(self, component: str) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.mount("a")
            file_id = await snapshots.store(CONTENT, "image/png", component=component)
            before = await metadata(snapshots, file_id, component)
            archive = await snapshots.export(include_storage=True)
            tx = snapshots.database.begin()
            await snapshots.files.access(tx, component).delete(file_id)
            await snapshots.database.commit(tx)
            await snapshots.must_import(archive, mode="replace")
            assert await snapshots.read_file(file_id, component=component) == CONTENT
            assert await metadata(snapshots, file_id, component) == before
            again = await snapshots.export(include_storage=True)
            assert export_documents(again) == export_documents(archive)
        async with running_snapshots() as elsewhere:
            await elsewhere.must_import(archive)
            assert await elsewhere.read_file(file_id, component=component) == CONTENT

    async def test_references_to_files_are_checked_as_they_will_be(self) -> None:
        reference = {"fieldType": {"type": "id", "tableName": "_storage"}, "optional": False}
        fields = {"type": "object", "value": {"file": reference}}
        async with running_snapshots() as snapshots:
            await push(snapshots.database, schema({"t": {"type": fields}}))
            await snapshots.insert("t", {"file": await snapshots.store(CONTENT, "image/png")})
            archive = await snapshots.export(include_storage=True)
            await snapshots.must_import(archive, mode="replaceAll")
            assert export_documents(await snapshots.export(include_storage=True)) == (
                export_documents(archive)
            )


class TestModes:
    async def test_files_are_not_overwritten_unless_that_was_asked_for(self) -> None:
        async with running_snapshots() as snapshots:
            old = await snapshots.store(b"old", "text/plain")
            assert (await snapshots.import_file(archive_of())).error_code == "TableExists"
            await snapshots.must_import(archive_of(), mode="append")
            assert await snapshots.read_file(old) == b"old"
            assert await snapshots.read_file(FILE_ID) is not None
            await snapshots.must_import(archive_of(), mode="replace")
            assert await snapshots.read_file(old) is None
            assert await snapshots.read_file(FILE_ID) is not None

    async def test_an_archive_without_files_leaves_those_that_are_there(self) -> None:
        async with running_snapshots() as snapshots:
            old = await snapshots.store(b"old", "text/plain")
            await snapshots.must_import(make_zip({"t/documents.jsonl": "{}\n"}), mode="replaceAll")
            assert await snapshots.read_file(old) == b"old"

    async def test_a_file_that_is_not_listed_is_imported(self) -> None:
        async with running_snapshots() as snapshots:
            await snapshots.must_import(make_zip({f"_storage/{FILE_ID}.txt": "text"}))
            assert await snapshots.read_file(FILE_ID) == b"text"


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"size": 1}, "InvalidImport", "not 1"),
        ({"sha256": b64encode(bytes(32)).decode()}, "InvalidImport", "SHA-256"),
        ({"sha256": "?"}, "InvalidImport", "base64"),
        ({"internalId": "x"}, "InvalidStorageId", "UUID"),
        ({"_id": "x"}, "InvalidImport", "without content"),
        ({"size": "many"}, "InvalidConvexValue", "Row 1"),
    ],
)
async def test_what_does_not_fit_is_refused(fields: dict[str, Any], code: str, words: str) -> None:
    async with running_snapshots() as snapshots:
        row = await snapshots.import_file(archive_of(**fields))
        assert row.error_code == code
        assert words in (row.state.error_message or "")
        assert snapshots.hidden_count() == 0
        assert await snapshots.read_file(FILE_ID) is None


async def test_what_is_listed_is_kept() -> None:
    content = "plain"
    digest = hashlib.sha256(content.encode()).digest()
    archive = archive_of(
        content,
        size=5,
        sha256=b64encode(digest).decode(),
        internalId=UUID,
        contentType="text/html",
        _creationTime=1234.5,
    )
    async with running_snapshots() as snapshots:
        await snapshots.must_import(archive)
        assert await snapshots.read_file(UUID) == b"plain"
        document = await metadata(snapshots, FILE_ID)
        assert document["_creationTime"] == 1234.5
        assert document["contentType"] == "text/html"


async def test_cleaning_up_keeps_what_an_unfinished_import_has_stored(tmp_path: Path) -> None:
    """The process ends after the files are stored; the next one cleans up before it goes on."""
    disk = Disk(tmp_path)
    async with disk.process() as snapshots:
        async with snapshots.running():
            import_id = await snapshots.upload(archive_of())
            await snapshots.wait_state(import_id, "waiting_for_confirmation")
        await snapshots.imports.perform(import_id)
        snapshots.kill_at("import.before_finish")
        with pytest.raises(KilledError):
            await snapshots.import_worker.run()
    async with disk.process() as snapshots:
        await snapshots.files.delete_unused()
        async with snapshots.running():
            await snapshots.wait_state(import_id)
        assert await snapshots.read_file(FILE_ID) == b"content"
