"""Parsing and packing many rows in bounded memory; the database is measured elsewhere."""

from __future__ import annotations

import io
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fenchel.application.export_archive import ExportArchive
from fenchel.application.imports.source import open_source
from fenchel.documents import Document, InternalId, TabletId, encode_document_id
from fenchel.file_storage import LocalFileStorage
from fenchel.model import ImportFormat, ImportFormatName
from fenchel.runtime.settings import SnapshotSettings

# All rows at once would be four times as much as is allowed.
ROW_COUNT = 30_000
BYTES_MAX = 2 << 20


@contextmanager
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < BYTES_MAX
    finally:
        tracemalloc.stop()


def row_text(format: ImportFormatName, n: int) -> str:
    return f"{n},text\n" if format == "csv" else f'{{"n":{n},"text":"text"}}\n'


@pytest.mark.parametrize("format", ["csv", "jsonLines"])
async def test_a_file_is_read_batch_by_batch(format: ImportFormatName) -> None:
    with tempfile.TemporaryDirectory() as folder:
        storage = LocalFileStorage(Path(folder))
        async with storage.create() as blob:
            blob.file.write(b"n,text\n" if format == "csv" else b"")
            for n in range(ROW_COUNT):
                blob.file.write(row_text(format, n).encode())
            key = await blob.finish()
        with bounded_memory():
            count = await count_rows(storage, key, format)
    assert count == ROW_COUNT


async def count_rows(storage: LocalFileStorage, key: str, format: ImportFormatName) -> int:
    settings = SnapshotSettings()
    import_format = ImportFormat(format=format, table="t")
    opened = open_source(storage, key, import_format, settings, dropped_if_empty=frozenset())
    async with opened as (table,):
        sizes = [len(batch) async for batch in table.load_batches(skipped_rows=1_000)]
    assert max(sizes) == settings.import_batch_rows
    return sum(sizes) + 1_000


def test_a_table_is_packed_page_by_page() -> None:
    page = [document(n) for n in range(1_000)]
    with tempfile.TemporaryFile() as file, bounded_memory():
        archive = ExportArchive(file, snapshot_ts=1_800_000_000_000_000_000)
        archive.begin_table("", "t")
        for _ in range(ROW_COUNT // len(page)):
            archive.add_documents(page)
        archive.end_table()
        archive.close()
        assert file.seek(0, io.SEEK_END) > 0


def document(n: int) -> Document:
    internal_id = InternalId(n.to_bytes(16, "big"))
    id_text = encode_document_id(10_001, internal_id)
    return Document.create(
        TabletId(bytes(16)),
        10_001,
        internal_id,
        {"_id": id_text, "_creationTime": 1.0, "n": float(n)},
    )
