"""The ZIP layout of a snapshot export (database specification 10.1), written piece by piece.

Synchronous: callers run it in a thread, page by page.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import IO, BinaryIO

import msgspec

from fenchel.application.archived_files import ArchivedFile
from fenchel.database import Namespace
from fenchel.documents import Document
from fenchel.values import convert_to_export_json

_FILE_MODE = 0o100644
# Of JSON, level 3 makes 10 % more than level 6 in half of the time.
_COMPRESSION_LEVEL = 3
_NANOSECONDS = 1_000_000_000
_README = """\
# Snapshot export

This archive is one consistent snapshot of a deployment, as of {time} (timestamp {ts}).

- `_tables/documents.jsonl` lists the tables with their numbers, which are part of document IDs.
- `<table>/documents.jsonl` holds the documents of a table, one JSON object per line.
  Numbers with a point or an exponent are Float64, others Int64. `{{"$bytes": "<base64>"}}` is
  Bytes, `{{"$float": "<base64>"}}` a Float64 that JSON has no number for.
- `<table>/generated_schema.jsonl` says that the table is written in this form.
- `_components/<name>/` holds the same for a component, and those of its components in turn.
{storage}
Import it with `npx convex import --replace-all <this file>`. Code, environment variables and
scheduled functions are not part of an export.
"""
_STORAGE_README = (
    "- `_storage/documents.jsonl` lists the stored files; their contents are "
    "`_storage/<_id>.<extension>`.\n"
)
_COPIED_BYTES = 1 << 20


class _TableLine(msgspec.Struct, frozen=True):
    name: str
    id: int


class ExportArchive:
    """One archive. Start value: empty; `close` completes it. At most one table is open."""

    def __init__(self, file: BinaryIO, *, snapshot_ts: int) -> None:
        time = datetime.fromtimestamp(snapshot_ts // _NANOSECONDS, UTC)
        self._date_time = time.timetuple()[:6]
        self._time = time
        self._ts = snapshot_ts
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._table: IO[bytes] | None = None

    def add_readme(self, *, include_storage: bool) -> None:
        storage = _STORAGE_README if include_storage else ""
        text = _README.format(time=self._time.isoformat(), ts=self._ts, storage=storage)
        self._add("README.md", text.encode())

    def add_table_list(self, component: Namespace, tables: Sequence[tuple[str, int]]) -> None:
        """The tables of a component with their numbers."""
        lines = [msgspec.json.encode(_TableLine(*table)) for table in tables]
        self._add(f"{_folder(component)}_tables/documents.jsonl", _join(lines))

    def begin_table(self, component: Namespace, name: str) -> None:
        folder = f"{_folder(component)}{name}"
        self._add(f"{folder}/generated_schema.jsonl", b'"uniform"\n')
        self._begin_list(folder)

    def begin_file_list(self, component: Namespace) -> None:
        """The list of a component's stored files is the open table."""
        self._begin_list(f"{_folder(component)}_storage")

    def add_documents(self, documents: Iterable[Document]) -> None:
        """Append documents to the open table."""
        assert self._table is not None
        lines = (convert_to_export_json(document.value_json).encode() for document in documents)
        self._table.write(_join(lines))

    def end_table(self) -> None:
        assert self._table is not None
        self._table.close()
        self._table = None

    def add_file_lines(self, files: Iterable[ArchivedFile]) -> None:
        """Append stored files to the open list."""
        assert self._table is not None
        self._table.write(_join(map(msgspec.json.encode, files)))

    def add_file(self, component: Namespace, file: ArchivedFile, content: BinaryIO) -> None:
        """The bytes of a stored file."""
        assert self._table is None
        info = self._info(f"{_folder(component)}_storage/{file.entry_name}")
        with self._archive.open(info, "w", force_zip64=True) as entry:
            shutil.copyfileobj(content, entry, _COPIED_BYTES)

    def close(self) -> None:
        """Write the directory of the archive."""
        assert self._table is None
        self._archive.close()

    def abandon(self) -> None:
        """Write nothing more, whatever state the archive is in; its file may be closed then."""
        self._archive.fp = None

    def _begin_list(self, folder: str) -> None:
        assert self._table is None
        info = self._info(f"{folder}/documents.jsonl")
        self._table = self._archive.open(info, "w", force_zip64=True)

    def _add(self, name: str, content: bytes) -> None:
        self._archive.writestr(self._info(name), content)

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, date_time=self._date_time)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = _FILE_MODE << 16
        info._compresslevel = _COMPRESSION_LEVEL  # type: ignore[attr-defined]  # public in 3.13
        return info


def _folder(component: Namespace) -> str:
    """Of "a/b": "_components/a/_components/b/"."""
    return "".join(f"_components/{name}/" for name in component.split("/") if name)


def _join(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
