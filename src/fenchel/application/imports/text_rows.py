"""Rows of CSV and JSON files as documents, one at a time (database specification 10.5).

Synchronous: callers run it in a thread, batch by batch. Only one row is in memory, except of a JSON
array, whose size is bounded.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import msgspec

from fenchel.application.imports import errors
from fenchel.errors import FenchelError
from fenchel.runtime.settings import SnapshotSettings
from fenchel.values import (
    Value,
    check_field_name,
    decode_export_json,
    decode_plain_json,
)

_BOM = b"\xef\xbb\xbf"
# What counts as a number in a cell: spelled as programs write it, without spaces and underscores.
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)",
    re.IGNORECASE | re.ASCII,
)


class ImportedRow(NamedTuple):
    """A document as it stands in the file, and how many bytes it takes there."""

    value: dict[str, Value]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRowReader:
    """`dropped_if_empty`: CSV columns whose empty cells mean that the field is absent."""

    settings: SnapshotSettings
    dropped_if_empty: frozenset[str] = frozenset()

    def read_csv(self, file: BinaryIO) -> Iterator[ImportedRow]:
        """A document per line after the header. Raises: the CSV errors, NotUtf8."""
        _check_no_bom(file)
        # The limit is one for the whole process; nothing else here reads CSV.
        csv.field_size_limit(self.settings.import_line_bytes_max)
        yield from self._read_csv(csv.reader(self._decode_lines(file), strict=True))

    def read_json_lines(self, file: BinaryIO, *, is_export: bool = False) -> Iterator[ImportedRow]:
        """A document per line that is not blank. `is_export`: the lines are `export_json`.

        Raises: JsonInvalidRow, InvalidConvexValue, NotAnObject, Utf8BomNotSupported, NotUtf8.
        """
        decode = decode_export_json if is_export else decode_plain_json
        bytes_max = self.settings.import_line_bytes_max
        row = 0
        while line := file.readline(bytes_max + 1):
            row += 1
            if row == 1 and line.startswith(_BOM):
                raise errors.bom_not_supported()
            if len(line) > bytes_max:
                raise errors.json_invalid_row(row, f"it is longer than {bytes_max} bytes")
            if not line.isspace():
                yield ImportedRow(_decode_row(line, row, decode), len(line))

    def read_json_array(self, file: BinaryIO) -> Iterator[ImportedRow]:
        """A document per item. Raises: NotJson, NotJsonArray, JsonArrayTooLarge, and as above."""
        _check_no_bom(file)
        bytes_max = self.settings.import_json_array_bytes_max
        size_bytes = file.seek(0, io.SEEK_END)
        if size_bytes > bytes_max:
            raise errors.json_array_too_large(size_bytes, bytes_max)
        file.seek(0)
        content = file.read()
        try:
            items = msgspec.json.decode(content, type=list[msgspec.Raw])
        except msgspec.ValidationError as error:
            raise errors.not_json_array() from error
        except (msgspec.DecodeError, UnicodeError) as error:
            raise errors.not_json(str(error)) from error
        for row, item in enumerate(items, 1):
            yield ImportedRow(_decode_row(bytes(item), row, decode_plain_json), len(bytes(item)))

    def _decode_lines(self, file: BinaryIO) -> Iterator[str]:
        """Lines with their ends, which may stand inside of quotes; longer ones in pieces."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while line := file.readline(self.settings.import_line_bytes_max):
                yield decoder.decode(line)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise errors.not_utf8(str(error)) from error

    def _read_csv(self, rows: Iterator[list[str]]) -> Iterator[ImportedRow]:
        row = 0
        names: list[str] | None = None
        while True:
            try:
                cells = next(rows, None)
            except csv.Error as error:
                raise errors.csv_invalid_row(row, str(error)) from error
            if cells is None:
                break
            if not cells:
                continue
            if names is None:
                names = [_check_header(header.strip(" ")) for header in cells]
                continue
            row += 1
            if len(cells) != len(names):
                raise errors.csv_row_missing_fields(row)
            yield ImportedRow(self._document(names, cells), sum(map(len, cells)))
        if names is None:
            raise errors.csv_missing_headers()

    def _document(self, names: list[str], cells: list[str]) -> dict[str, Value]:
        return {
            name: _decode_cell(cell)
            for name, cell in zip(names, cells, strict=True)
            if cell or name not in self.dropped_if_empty
        }


def _check_no_bom(file: BinaryIO) -> None:
    """Raises: Utf8BomNotSupported. The file is at its beginning before and after."""
    if file.read(len(_BOM)) == _BOM:
        raise errors.bom_not_supported()
    file.seek(0)


def _check_header(header: str) -> str:
    try:
        check_field_name(header)
    except FenchelError as error:
        raise errors.csv_invalid_header(header, error.message) from error
    return header


def _decode_cell(cell: str) -> Value:
    return float(cell) if _NUMBER.fullmatch(cell) else cell


def _decode_row(text: bytes, row: int, decode: Callable[[bytes], Value]) -> dict[str, Value]:
    try:
        value = decode(text)
    except FenchelError as error:
        if error.code == "InvalidJson":
            raise errors.json_invalid_row(row, error.message) from error
        raise errors.invalid_convex_value(row, error.message) from error
    if not isinstance(value, dict):
        raise errors.not_an_object(row)
    return value
