"""The ZIP layout of a snapshot export (database specification 10.1), written piece by piece.

Synchronous: callers run it in a thread, page by page.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import IO, BinaryIO

import msgspec

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
{storage}
Import it with `npx convex import --replace-all <this file>`. Code, environment variables and
scheduled functions are not part of an export.
"""
_STORAGE_README = "- `_storage/documents.jsonl` lists the stored files.\n"


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

    def add_head(self, tables: Sequence[tuple[str, int]], *, include_storage: bool) -> None:
        """The README, and the list of tables with their numbers."""
        storage = _STORAGE_README if include_storage else ""
        text = _README.format(time=self._time.isoformat(), ts=self._ts, storage=storage)
        self._add("README.md", text.encode())
        lines = [msgspec.json.encode(_TableLine(*table)) for table in tables]
        self._add("_tables/documents.jsonl", _join(lines))

    def begin_table(self, name: str) -> None:
        assert self._table is None
        self._add(f"{name}/generated_schema.jsonl", b'"uniform"\n')
        info = self._info(f"{name}/documents.jsonl")
        self._table = self._archive.open(info, "w", force_zip64=True)

    def add_documents(self, documents: Iterable[Document]) -> None:
        """Append documents to the open table."""
        assert self._table is not None
        lines = (convert_to_export_json(document.value_json).encode() for document in documents)
        self._table.write(_join(lines))

    def end_table(self) -> None:
        assert self._table is not None
        self._table.close()
        self._table = None

    def add_storage(self) -> None:
        """The list of stored files, of which this deployment has none."""
        self._add("_storage/documents.jsonl", b"")

    def close(self) -> None:
        """Write the directory of the archive."""
        assert self._table is None
        self._archive.close()

    def abandon(self) -> None:
        """Write nothing more, whatever state the archive is in; its file may be closed then."""
        self._archive.fp = None

    def _add(self, name: str, content: bytes) -> None:
        self._archive.writestr(self._info(name), content)

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, date_time=self._date_time)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = _FILE_MODE << 16
        info._compresslevel = _COMPRESSION_LEVEL  # type: ignore[attr-defined]  # public in 3.13
        return info


def _join(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
