"""ZIP archives (database specification 10.1 and 10.5)."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from fenchel.application.imports.text_rows import TextRowReader
from fenchel.application.imports.zip_tables import ZipTables, open_zip
from fenchel.errors import FenchelError
from fenchel.runtime.settings import SnapshotSettings
from tests.application.snapshots import make_zip

READER = TextRowReader(settings=SnapshotSettings())


def open_archive(content: bytes) -> ZipTables:
    return open_zip(io.BytesIO(content), READER)


def rows(tables: ZipTables, name: str, component: str = "") -> list[Any]:
    return [row.value for row in tables.read_rows((component, name))]


def error_of(content: bytes) -> FenchelError:
    with pytest.raises(FenchelError) as caught:
        read_all(content)
    return caught.value


def read_all(content: bytes) -> None:
    tables = open_archive(content)
    for component, name in tables.documents:
        rows(tables, name, component)
    for component in tables.file_lists:
        list(tables.read_file_rows(component))


@pytest.mark.parametrize("prefix", ["", "snapshot/", "a/b/"])
def test_any_folder_may_stand_around_everything(prefix: str) -> None:
    tables = open_archive(
        make_zip(
            {
                f"{prefix}README.md": "text",
                f"{prefix}_tables/documents.jsonl": '{"name": "t", "id": 10007}\n',
                f"{prefix}t/documents.jsonl": '{"a": 1}\n',
            }
        )
    )
    assert tables.numbers == {("", "t"): 10_007}
    assert rows(tables, "t") == [{"a": 1.0}]


def test_components_have_tables_and_files_of_their_own() -> None:
    tables = open_zip(
        io.BytesIO(
            make_zip(
                {
                    "t/documents.jsonl": '{"a": 1}\n',
                    "_components/x/t/documents.jsonl": '{"a": 2}\n',
                    "_components/x/_components/y/t/documents.jsonl": '{"a": 3}\n',
                    "_components/x/_tables/documents.jsonl": '{"name": "t", "id": 10001}\n',
                    "_components/x/_storage/kg.png": "content",
                }
            )
        ),
        READER,
        component="base",
    )
    assert [rows(tables, "t", path)[0]["a"] for path in ("base", "base/x", "base/x/y")] == [1, 2, 3]
    assert tables.numbers == {("base/x", "t"): 10_001}
    assert [row.value for row in tables.read_file_rows("base/x")] == [{"_id": "kg"}]
    with tables.open_file("base/x", "kg") as file:
        assert file.read() == b"content"


def test_a_table_without_generated_schema_is_plain_json() -> None:
    tables = open_archive(
        make_zip(
            {
                "plain/documents.jsonl": '{"a": 1}\n',
                "typed/documents.jsonl": '{"a": 1}\n',
                "typed/generated_schema.jsonl": '"uniform"\n',
            }
        )
    )
    assert type(rows(tables, "plain")[0]["a"]) is float
    assert type(rows(tables, "typed")[0]["a"]) is int


def test_system_tables_are_skipped() -> None:
    archive = {"_scheduled_jobs/documents.jsonl": "{}\n", "_storage/documents.jsonl": ""}
    assert open_archive(make_zip(archive)).documents == {}


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({"a b/documents.jsonl": ""}, "InvalidTableName", "table name 'a b' invalid"),
        ({"x/t/documents.jsonl": "", "y/t/documents.jsonl": ""}, "InvalidZip", "twice"),
        ({"_components/c d/t/documents.jsonl": ""}, "InvalidComponentName", "'c d'"),
        ({"_components//t/documents.jsonl": ""}, "InvalidComponentName", "''"),
        ({"_storage/x.png": "a", "_storage/x.jpg": "b"}, "InvalidZip", "stored file x twice"),
        ({"_storage/documents.jsonl": '{"_id": "x"}\n'}, "InvalidImport", "x without content"),
        ({"_storage/documents.jsonl": '{"size": 1}\n'}, "InvalidConvexValue", "_id"),
        (
            {
                "_storage/documents.jsonl": '{"_id": "x"}\n{"_id": "x"}\n',
                "_storage/x": "once",
            },
            "InvalidImport",
            "x without content",
        ),
        (
            {"t/documents.jsonl": "", "t/generated_schema.jsonl": '"{n: int64}"\n'},
            "InvalidImport",
            "old form",
        ),
        (
            {"_tables/documents.jsonl": '{"name":"a","id":1}\n{"name":"a","id":2}'},
            "DuplicateTableName",
            "`a`",
        ),
        (
            {"_tables/documents.jsonl": '{"name":"a","id":1}\n{"name":"b","id":1}'},
            "InvalidId",
            "conflict between `a` and `b` with number 1",
        ),
        ({"_tables/documents.jsonl": '{"name":"a"}'}, "InvalidConvexValue", "Row 1"),
        ({"t/documents.jsonl": "{}\nx\n"}, "JsonInvalidRow", "Row 2"),
    ],
)
def test_errors(files: dict[str, str], code: str, words: str) -> None:
    error = error_of(make_zip(files))
    assert error.code == code
    assert words in error.message


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_archive(content: bytes) -> None:
    assert error_of(content).code == "InvalidZip"


def test_damaged_content() -> None:
    content = bytearray(make_zip({"t/documents.jsonl": '{"a": "some text"}\n' * 100}))
    content[60:70] = b"\xff" * 10
    assert error_of(bytes(content)).code == "InvalidZip"


def test_compression_that_nobody_knows() -> None:
    content = make_zip({"t/documents.jsonl": "{}"})
    # The method of the entry in the directory and in its own head: 8 is deflate.
    content = content.replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00")
    assert error_of(content).code == "InvalidZip"


def test_encrypted_archives() -> None:
    content = make_zip({"t/documents.jsonl": "{}"})
    content = content.replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x01\x00\x08\x00")
    assert "encrypted" in error_of(content).message


def test_stored_entries_are_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("t/documents.jsonl", '{"a": "x"}')
    assert rows(open_archive(buffer.getvalue()), "t") == [{"a": "x"}]
