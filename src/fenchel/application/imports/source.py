"""An uploaded file as tables of rows, whatever its format; parsed in a thread, batch by batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import BinaryIO, assert_never

from fenchel.application.archived_files import STORAGE
from fenchel.application.imports.text_rows import ImportedRow, TextRowReader
from fenchel.application.imports.zip_tables import TableKey, ZipTables, open_zip
from fenchel.file_storage import FileStorage
from fenchel.model import ImportFormat
from fenchel.runtime.settings import SnapshotSettings

_Read = Callable[[], Iterator[ImportedRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """`number` is what the file says of the table's number, apart from its ids. `open_file` gives
    the content of a stored file by its id; only the sources of stored files have it.
    """

    component: str
    name: str
    number: int | None
    read_rows: _Read
    settings: SnapshotSettings
    open_file: Callable[[str], BinaryIO] | None = None

    @property
    def key(self) -> TableKey:
        return self.component, self.name

    async def load_batches(self, *, skipped_rows: int = 0) -> AsyncIterator[list[ImportedRow]]:
        """The rows after the first `skipped_rows`, in the order of the file; no batch is empty.

        A batch is bounded in rows and bytes. Raises: the errors of specification 10.6.
        """
        rows = self.read_rows()
        await asyncio.to_thread(deque, islice(rows, skipped_rows), maxlen=0)
        while batch := await asyncio.to_thread(self._take_batch, rows):
            yield batch

    def _take_batch(self, rows: Iterator[ImportedRow]) -> list[ImportedRow]:
        batch: list[ImportedRow] = []
        rest_bytes = self.settings.import_batch_bytes
        for row in rows:
            batch.append(row)
            rest_bytes -= row.size_bytes
            if rest_bytes <= 0 or len(batch) == self.settings.import_batch_rows:
                break
        return batch


@asynccontextmanager
async def open_source(
    storage: FileStorage,
    key: str,
    import_format: ImportFormat,
    settings: SnapshotSettings,
    *,
    dropped_if_empty: frozenset[str],
) -> AsyncIterator[list[SourceTable]]:
    """The tables of the stored file. `dropped_if_empty`: see `TextRowReader`.

    Raises: FileNotFound, the errors of specification 10.6.
    """
    reader = TextRowReader(settings=settings, dropped_if_empty=dropped_if_empty)
    file = await storage.open(key)
    try:
        yield await asyncio.to_thread(_open, file, import_format, reader)
    finally:
        file.close()


def _open(file: BinaryIO, import_format: ImportFormat, reader: TextRowReader) -> list[SourceTable]:
    if import_format.format == "zip":
        return _open_tables(open_zip(file, reader, component=import_format.component))
    assert import_format.table is not None

    def read_rows() -> Iterator[ImportedRow]:
        file.seek(0)
        match import_format.format:
            case "csv":
                return reader.read_csv(file)
            case "jsonLines":
                return reader.read_json_lines(file)
            case "jsonArray":
                return reader.read_json_array(file)
            case "zip":
                raise AssertionError("a ZIP archive has many tables")
            case _:
                assert_never(import_format.format)

    return [
        SourceTable(
            component=import_format.component,
            name=import_format.table,
            number=None,
            read_rows=read_rows,
            settings=reader.settings,
        )
    ]


def _open_tables(tables: ZipTables) -> list[SourceTable]:
    sources = [
        SourceTable(
            component=key[0],
            name=key[1],
            number=tables.numbers.get(key),
            read_rows=partial(tables.read_rows, key),
            settings=tables.reader.settings,
        )
        for key in tables.documents
    ]
    files = [
        SourceTable(
            component=component,
            name=STORAGE,
            number=None,
            read_rows=partial(tables.read_file_rows, component),
            settings=tables.reader.settings,
            open_file=partial(tables.open_file, component),
        )
        for component in tables.file_lists
    ]
    return sources + files
