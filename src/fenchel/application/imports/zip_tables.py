"""The tables of a ZIP archive (database specification 10.1 and 10.5), read entry by entry.

Synchronous: callers run it in a thread. Entries are recognised by the end of their names, so an
archive may have a folder around everything.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import msgspec

from fenchel.application.imports import errors
from fenchel.application.imports.text_rows import ImportedRow, TextRowReader
from fenchel.database import check_user_table_name
from fenchel.errors import FenchelError, bad_request

_DOCUMENTS = re.compile(r"(?:.*/)?([^/]+)/documents\.jsonl")
_GENERATED_SCHEMA = re.compile(r"(?:.*/)?([^/]+)/generated_schema\.jsonl")
_STORED_FILE = re.compile(r"(?:.*/)?_storage/(?!documents\.jsonl)[^/]+")
_COMPONENT = re.compile(r"(?:.*/)?_components/([^/]+)/.*")
_TABLES = "_tables"
_STORAGE = "_storage"
_ENCRYPTED = 0x1
# What reading a damaged archive may raise; a method that Python cannot decompress is one of them.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_SCHEMA_LINE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipTables:
    """The user tables of an archive, in its order, and the numbers that its `_tables` gives."""

    archive: zipfile.ZipFile
    reader: TextRowReader
    documents: dict[str, zipfile.ZipInfo]
    export_tables: frozenset[str]
    numbers: dict[str, int]

    def read_rows(self, name: str) -> Iterator[ImportedRow]:
        """The documents of a table. Raises: InvalidZip, and as `TextRowReader`."""
        is_export = name in self.export_tables
        with _open(self.archive, self.documents[name]) as file:
            yield from _read_lines(self.reader, file, is_export=is_export)


def open_zip(file: BinaryIO, reader: TextRowReader) -> ZipTables:
    """Raises: InvalidZip, InvalidTableName, InvalidComponentName, DuplicateTableName, InvalidId,
    and InvalidImport for what this deployment cannot take.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (*_ZIP_ERRORS, ValueError) as error:
        raise errors.invalid_zip(str(error)) from error
    documents: dict[str, zipfile.ZipInfo] = {}
    schemas: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        _check_entry(entry)
        if match := _DOCUMENTS.fullmatch(entry.filename):
            _add(documents, match[1], entry)
        elif match := _GENERATED_SCHEMA.fullmatch(entry.filename):
            _add(schemas, match[1], entry)
    numbers = _read_numbers(archive, reader, documents)
    _check_no_files(archive, reader, documents)
    user_tables = {name: entry for name, entry in documents.items() if not name.startswith("_")}
    return ZipTables(
        archive=archive,
        reader=reader,
        documents=user_tables,
        export_tables=frozenset(n for n in user_tables if _is_export(archive, schemas.get(n))),
        numbers=numbers,
    )


def _check_entry(entry: zipfile.ZipInfo) -> None:
    if match := _COMPONENT.fullmatch(entry.filename):
        raise errors.component_missing(match[1])
    if entry.flag_bits & _ENCRYPTED:
        raise errors.invalid_zip(f"{entry.filename} is encrypted")
    if _STORED_FILE.fullmatch(entry.filename) and not entry.is_dir():
        raise _files_not_supported()


def _add(entries: dict[str, zipfile.ZipInfo], name: str, entry: zipfile.ZipInfo) -> None:
    if not name.startswith("_"):
        try:
            check_user_table_name(name)
        except FenchelError as error:
            raise bad_request(
                "InvalidTableName", f"table name '{name}' invalid: {error.message}"
            ) from error
    if name in entries:
        raise errors.invalid_zip(f"it holds table '{name}' twice")
    entries[name] = entry


class _TableEntry(msgspec.Struct, frozen=True):
    name: str
    id: int


def _read_numbers(
    archive: zipfile.ZipFile, reader: TextRowReader, documents: dict[str, zipfile.ZipInfo]
) -> dict[str, int]:
    """Table numbers by name, as listed in `_tables`."""
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for row, line in enumerate(_read_all(archive, reader, documents.get(_TABLES)), 1):
        try:
            table = msgspec.convert(line.value, _TableEntry, strict=False)
        except msgspec.ValidationError as error:
            raise errors.invalid_convex_value(row, str(error)) from error
        if table.name in numbers:
            raise errors.duplicate_table_name(table.name)
        if table.id in names:
            raise errors.number_conflict(names[table.id], table.name, table.id)
        numbers[table.name] = table.id
        names[table.id] = table.name
    return numbers


def _check_no_files(
    archive: zipfile.ZipFile, reader: TextRowReader, documents: dict[str, zipfile.ZipInfo]
) -> None:
    for _ in _read_all(archive, reader, documents.get(_STORAGE)):
        raise _files_not_supported()


def _is_export(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | None) -> bool:
    """Whether the table is `export_json`. Raises: InvalidImport for the forms of old exports."""
    if entry is None:
        return False
    with _open(archive, entry) as file:
        try:
            line = file.readline(_SCHEMA_LINE_BYTES_MAX)
        except _ZIP_ERRORS as error:
            raise errors.invalid_zip(str(error)) from error
    if line.strip() == b'"uniform"':
        return True
    raise bad_request(
        "InvalidImport",
        f"{entry.filename} is of an old form of exports, which cannot be read. Make a new export, "
        "or remove the file to import every number as a Float64.",
    )


def _read_all(
    archive: zipfile.ZipFile, reader: TextRowReader, entry: zipfile.ZipInfo | None
) -> Iterator[ImportedRow]:
    if entry is not None:
        with _open(archive, entry) as file:
            yield from _read_lines(reader, file, is_export=True)


def _open(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    try:
        raw = archive.open(entry)
    except (*_ZIP_ERRORS, RuntimeError) as error:
        raise errors.invalid_zip(str(error)) from error
    return io.BufferedReader(cast("io.RawIOBase", raw), buffer_size=1 << 17)


def _read_lines(reader: TextRowReader, file: BinaryIO, *, is_export: bool) -> Iterator[ImportedRow]:
    try:
        yield from reader.read_json_lines(file, is_export=is_export)
    except _ZIP_ERRORS as error:
        raise errors.invalid_zip(str(error)) from error


def _files_not_supported() -> FenchelError:
    return bad_request(
        "InvalidImport",
        "The archive holds stored files, which this deployment cannot store. Remove the folder "
        "`_storage` from the archive to import its tables.",
    )
