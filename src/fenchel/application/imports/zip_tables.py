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

from fenchel.application.archived_files import STORAGE, ArchivedFile
from fenchel.application.imports import errors
from fenchel.application.imports.text_rows import ImportedRow, TextRowReader
from fenchel.database import check_user_table_name
from fenchel.errors import FenchelError, bad_request
from fenchel.values import Value, is_identifier

_DOCUMENTS = re.compile(r"(?:.*/)?([^/]+)/documents\.jsonl")
_GENERATED_SCHEMA = re.compile(r"(?:.*/)?([^/]+)/generated_schema\.jsonl")
_STORED_FILE = re.compile(r"(?:.*/)?_storage/(?!documents\.jsonl)([^/.]+)[^/]*")
_COMPONENTS = "_components"
_TABLES = "_tables"
_ENCRYPTED = 0x1
# What reading a damaged archive may raise; a method that Python cannot decompress is one of them.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_SCHEMA_LINE_BYTES_MAX = 1 << 20


# The path of a component, and the name of one of its tables.
TableKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipTables:
    """The user tables of an archive, in its order, and the numbers that its `_tables` give.

    `file_lists` and `files` are by component; the latter's entries by the ids of the files.
    """

    archive: zipfile.ZipFile
    reader: TextRowReader
    documents: dict[TableKey, zipfile.ZipInfo]
    export_tables: frozenset[TableKey]
    numbers: dict[TableKey, int]
    file_lists: dict[str, zipfile.ZipInfo | None]
    files: dict[str, dict[str, zipfile.ZipInfo]]

    def read_rows(self, key: TableKey) -> Iterator[ImportedRow]:
        """The documents of a table. Raises: InvalidZip, and as `TextRowReader`."""
        is_export = key in self.export_tables
        with _open(self.archive, self.documents[key]) as file:
            yield from _read_lines(self.reader, file, is_export=is_export)

    def read_file_rows(self, component: str) -> Iterator[ImportedRow]:
        """A row for every stored file of a component, as `ArchivedFile` has it. Files that are not
        listed have nothing but their id.

        Raises: InvalidZip, InvalidConvexValue, InvalidImport for a file without content.
        """
        rest = dict(self.files.get(component, {}))
        listed = _read_all(self.archive, self.reader, self.file_lists[component])
        for number, row in enumerate(listed, 1):
            file = decode_archived_file(row.value, number)
            if rest.pop(file.id, None) is None:
                raise bad_request(
                    "InvalidImport", f"The archive lists the stored file {file.id} without content."
                )
            yield row
        for file_id in rest:
            yield ImportedRow({"_id": file_id}, 0)

    def open_file(self, component: str, file_id: str) -> BinaryIO:
        """The content of a stored file. Raises: InvalidZip."""
        return _open(self.archive, self.files[component][file_id])


def open_zip(file: BinaryIO, reader: TextRowReader, *, component: str = "") -> ZipTables:
    """`component` is where the root of the archive goes.

    Raises: InvalidZip, InvalidTableName, InvalidComponentName, DuplicateTableName, InvalidId,
    and InvalidImport for what this deployment cannot take.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (*ZIP_ERRORS, ValueError) as error:
        raise errors.invalid_zip(str(error)) from error
    documents: dict[TableKey, zipfile.ZipInfo] = {}
    schemas: dict[TableKey, zipfile.ZipInfo] = {}
    files: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for entry in archive.infolist():
        path, rest = _split_components(entry.filename, component)
        if entry.flag_bits & _ENCRYPTED:
            raise errors.invalid_zip(f"{entry.filename} is encrypted")
        if match := _DOCUMENTS.fullmatch(rest):
            _add(documents, (path, match[1]), entry)
        elif match := _GENERATED_SCHEMA.fullmatch(rest):
            _add(schemas, (path, match[1]), entry)
        elif match := _STORED_FILE.fullmatch(rest):
            _add_file(files.setdefault(path, {}), match[1], entry)
    user_tables = {key: entry for key, entry in documents.items() if not key[1].startswith("_")}
    file_lists = {path: entry for (path, name), entry in documents.items() if name == STORAGE}
    return ZipTables(
        archive=archive,
        reader=reader,
        documents=user_tables,
        export_tables=frozenset(k for k in user_tables if _is_export(archive, schemas.get(k))),
        numbers=_read_all_numbers(archive, reader, documents),
        file_lists={**dict.fromkeys(files), **file_lists},
        files=files,
    )


def _split_components(filename: str, component: str) -> tuple[str, str]:
    """The path of the component that an entry belongs to, and the rest of its name.

    Raises: InvalidComponentName.
    """
    parts = filename.split("/")
    names = [component] if component else []
    while _COMPONENTS in parts[:-2]:
        place = parts.index(_COMPONENTS)
        name = parts[place + 1]
        check_component_name(name)
        names.append(name)
        parts = parts[place + 2 :]
    return "/".join(names), "/".join(parts)


def check_component_name(name: str) -> None:
    """Raises: InvalidComponentName."""
    if not is_identifier(name):
        raise bad_request(
            "InvalidComponentName",
            f"component name '{name}' invalid: use letters, digits and underscores.",
        )


def decode_archived_file(value: dict[str, Value], row: int) -> ArchivedFile:
    """Raises: InvalidConvexValue."""
    try:
        return msgspec.convert(value, ArchivedFile, strict=False)
    except msgspec.ValidationError as error:
        raise errors.invalid_convex_value(row, str(error)) from error


def _add(entries: dict[TableKey, zipfile.ZipInfo], key: TableKey, entry: zipfile.ZipInfo) -> None:
    name = key[1]
    if not name.startswith("_"):
        try:
            check_user_table_name(name)
        except FenchelError as error:
            raise bad_request(
                "InvalidTableName", f"table name '{name}' invalid: {error.message}"
            ) from error
    if key in entries:
        raise errors.invalid_zip(f"it holds table '{name}' twice")
    entries[key] = entry


def _add_file(files: dict[str, zipfile.ZipInfo], file_id: str, entry: zipfile.ZipInfo) -> None:
    if file_id in files:
        raise errors.invalid_zip(f"it holds the stored file {file_id} twice")
    files[file_id] = entry


class _TableEntry(msgspec.Struct, frozen=True):
    name: str
    id: int


def _read_all_numbers(
    archive: zipfile.ZipFile, reader: TextRowReader, documents: dict[TableKey, zipfile.ZipInfo]
) -> dict[TableKey, int]:
    """Table numbers, as listed in the `_tables` of each component."""
    return {
        (path, name): number
        for (path, system_table), entry in documents.items()
        if system_table == _TABLES
        for name, number in _read_numbers(archive, reader, entry).items()
    }


def _read_numbers(
    archive: zipfile.ZipFile, reader: TextRowReader, entry: zipfile.ZipInfo
) -> dict[str, int]:
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for row, line in enumerate(_read_all(archive, reader, entry), 1):
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


def _is_export(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | None) -> bool:
    """Whether the table is `export_json`. Raises: InvalidImport for the forms of old exports."""
    if entry is None:
        return False
    with _open(archive, entry) as file:
        try:
            line = file.readline(_SCHEMA_LINE_BYTES_MAX)
        except ZIP_ERRORS as error:
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
    except (*ZIP_ERRORS, RuntimeError) as error:
        raise errors.invalid_zip(str(error)) from error
    return io.BufferedReader(cast("io.RawIOBase", raw), buffer_size=1 << 17)


def _read_lines(reader: TextRowReader, file: BinaryIO, *, is_export: bool) -> Iterator[ImportedRow]:
    try:
        yield from reader.read_json_lines(file, is_export=is_export)
    except ZIP_ERRORS as error:
        raise errors.invalid_zip(str(error)) from error
