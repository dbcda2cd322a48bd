"""CSV and JSON files (database specification 10.5 and 10.6)."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

import pytest

from fenchel.application.imports.text_rows import ImportedRow, TextRowReader
from fenchel.errors import FenchelError
from fenchel.runtime.settings import SnapshotSettings

READER = TextRowReader(settings=SnapshotSettings())


def values(rows: Iterator[ImportedRow]) -> list[Any]:
    return [row.value for row in rows]


def read_csv(content: str | bytes, reader: TextRowReader = READER) -> list[Any]:
    return values(reader.read_csv(io.BytesIO(_encode(content))))


def read_lines(content: str | bytes, *, is_export: bool = False) -> list[Any]:
    return values(READER.read_json_lines(io.BytesIO(_encode(content)), is_export=is_export))


def read_array(content: str | bytes, reader: TextRowReader = READER) -> list[Any]:
    return values(reader.read_json_array(io.BytesIO(_encode(content))))


def _encode(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


class TestCsv:
    def test_a_cell_is_a_number_or_a_string(self) -> None:
        assert read_csv("a, b ,c\n1,x,-2.5e3\n,y z,1_0\n") == [
            {"a": 1.0, "b": "x", "c": -2500.0},
            {"a": "", "b": "y z", "c": "1_0"},
        ]

    @pytest.mark.parametrize("cell", ["5", "+5", ".5", "5.", "1e5", "-0", "inf", "-Infinity"])
    def test_numbers(self, cell: str) -> None:
        ((value,),) = [row.values() for row in read_csv(f"a\n{cell}\n")]
        assert type(value) is float

    @pytest.mark.parametrize("cell", [" 5", "5 ", "0x10", "1,5", "e5", ".", "-", "true", "٥"])
    def test_not_numbers(self, cell: str) -> None:
        assert read_csv(f'a\n"{cell}"\n') == [{"a": cell}]

    def test_nan_is_a_number(self) -> None:
        (row,) = read_csv("a\nNaN\n")
        assert math.isnan(row["a"])

    def test_quotes_hold_commas_quotes_and_lines(self) -> None:
        assert read_csv('a,b\r\n"1,2","say ""hi""\r\nthere"\r\n') == [
            {"a": "1,2", "b": 'say "hi"\r\nthere'}
        ]

    def test_blank_lines_are_no_rows(self) -> None:
        assert read_csv("a\n\n1\n\n") == [{"a": 1.0}]

    def test_empty_cells_of_optional_fields_are_absent(self) -> None:
        reader = TextRowReader(settings=SnapshotSettings(), dropped_if_empty=frozenset({"b"}))
        assert read_csv("a,b\n,\n", reader) == [{"a": ""}]

    @pytest.mark.parametrize(
        ("content", "code", "words"),
        [
            (b"", "CsvMissingHeaders", "doesn't have headers"),
            (b"$a\n1\n", "CsvInvalidHeader", 'CSV header "$a"'),
            (b"a,b\n1,2\n3\n", "CsvRowMissingFields", "CSV row 2 doesn't have all"),
            (b"a\n1,2\n", "CsvRowMissingFields", "CSV row 1"),
            (b'a\n"x"y\n', "CsvInvalidRow", "Failed to parse CSV row"),
            (b'a\n"x\n', "CsvInvalidRow", "Failed to parse CSV row"),
            (b"\xef\xbb\xbfa\n1\n", "Utf8BomNotSupported", "BOM"),
            (b"a\n\xff\n", "NotUtf8", "Import wasn't valid UTF8"),
            (b"a\n\xc3", "NotUtf8", "Import wasn't valid UTF8"),
        ],
    )
    def test_errors(self, content: bytes, code: str, words: str) -> None:
        with pytest.raises(FenchelError) as caught:
            read_csv(content)
        assert caught.value.code == code
        assert words in caught.value.message

    def test_a_cell_without_end_does_not_fill_the_memory(self) -> None:
        reader = TextRowReader(settings=SnapshotSettings(import_line_bytes_max=1_000))
        with pytest.raises(FenchelError, match="CsvInvalidRow"):
            read_csv('a\n"' + "x" * 2_000, reader)


class TestJsonLines:
    def test_numbers_are_floats_in_plain_files(self) -> None:
        (row,) = read_lines('{"a": 5}\n')
        assert type(row["a"]) is float

    def test_numbers_keep_their_types_in_exports(self) -> None:
        (row,) = read_lines('{"a": 5, "b": 5.0, "c": {"$bytes": "eA=="}}', is_export=True)
        assert [type(item) for item in row.values()] == [int, float, bytes]

    def test_blank_lines_are_no_rows(self) -> None:
        assert read_lines('\n{"a": 1}\r\n  \n{"a": 2}') == [{"a": 1.0}, {"a": 2.0}]

    @pytest.mark.parametrize(
        ("content", "code", "words"),
        [
            (b'{"a": 1}\n{"a"\n', "JsonInvalidRow", "Row 2 wasn't valid JSON"),
            (b'{"a": "\xff"}\n', "JsonInvalidRow", "Row 1 wasn't valid JSON"),
            (b'{"a": {"$integer": "BQAAAAAAAAA="}}', "InvalidConvexValue", "Row 1"),
            (b"[1]\n", "NotAnObject", "Row 1 wasn't an object"),
            (b'\xef\xbb\xbf{"a": 1}', "Utf8BomNotSupported", "BOM"),
        ],
    )
    def test_errors(self, content: bytes, code: str, words: str) -> None:
        with pytest.raises(FenchelError) as caught:
            read_lines(content)
        assert caught.value.code == code
        assert words in caught.value.message

    def test_a_line_without_end_does_not_fill_the_memory(self) -> None:
        reader = TextRowReader(settings=SnapshotSettings(import_line_bytes_max=1_000))
        with pytest.raises(FenchelError, match="longer than 1000 bytes"):
            values(reader.read_json_lines(io.BytesIO(b"x" * 2_000)))


class TestJsonArray:
    def test_each_item_is_a_row(self) -> None:
        assert read_array('[{"a": 1}, {"b": "x"}]') == [{"a": 1.0}, {"b": "x"}]

    def test_an_empty_array_has_no_rows(self) -> None:
        assert read_array("[]") == []

    @pytest.mark.parametrize(
        ("content", "code", "words"),
        [
            (b"{}", "NotJsonArray", "Not a JSON array"),
            (b"[", "NotJson", "Not valid JSON"),
            (b"", "NotJson", "Not valid JSON"),
            (b'[{"a": 1}, 5]', "NotAnObject", "Row 2 wasn't an object"),
            (b"\xef\xbb\xbf[]", "Utf8BomNotSupported", "BOM"),
        ],
    )
    def test_errors(self, content: bytes, code: str, words: str) -> None:
        with pytest.raises(FenchelError) as caught:
            read_array(content)
        assert caught.value.code == code
        assert words in caught.value.message

    def test_its_size_is_limited(self) -> None:
        settings = SnapshotSettings(import_json_array_bytes_max=1 << 20)
        with pytest.raises(FenchelError) as caught:
            read_array(b"[" + b" " * (1 << 20), TextRowReader(settings=settings))
        assert caught.value.code == "JsonArrayTooLarge"
        assert "(1048577 bytes > maximum 1 MiB)" in caught.value.message
