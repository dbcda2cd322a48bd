"""The errors of an import in one place (database specification 10.6)."""

from __future__ import annotations

from fenchel.errors import FenchelError, bad_request


class ImportAbortedError(Exception):
    """The row is not in progress any more: cancelled, or failed by its age. Nothing more to do."""


def table_exists(name: str) -> FenchelError:
    return bad_request(
        "TableExists",
        f"Table {name} already exists. Please choose a new table name or use replace/append modes.",
    )


def invalid_name(name: str, reason: str) -> FenchelError:
    return bad_request("InvalidName", f'"{name}" isn\'t a valid table name: {reason}')


def not_utf8(reason: str) -> FenchelError:
    return bad_request("NotUtf8", f"Import wasn't valid UTF8: {reason}")


def bom_not_supported() -> FenchelError:
    return bad_request(
        "Utf8BomNotSupported", "UTF-8 BOM is not supported. Please save your file without BOM."
    )


def json_array_too_large(size_bytes: int, bytes_max: int) -> FenchelError:
    return bad_request(
        "JsonArrayTooLarge",
        f"Import is too large for JSON ({size_bytes} bytes > maximum {bytes_max >> 20} MiB). "
        "Consider converting data to JSONLines",
    )


def csv_missing_headers() -> FenchelError:
    return bad_request("CsvMissingHeaders", "CSV file doesn't have headers")


def csv_invalid_header(header: str, reason: str) -> FenchelError:
    return bad_request(
        "CsvInvalidHeader", f'CSV header "{header}" isn\'t a valid field name: {reason}'
    )


def csv_invalid_row(row: int, reason: str) -> FenchelError:
    return bad_request("CsvInvalidRow", f"Failed to parse CSV row {row}: {reason}")


def csv_row_missing_fields(row: int) -> FenchelError:
    return bad_request(
        "CsvRowMissingFields", f"CSV row {row} doesn't have all of the fields in the header"
    )


def json_invalid_row(row: int, reason: str) -> FenchelError:
    return bad_request("JsonInvalidRow", f"Row {row} wasn't valid JSON: {reason}")


def invalid_convex_value(row: int, reason: str) -> FenchelError:
    return bad_request("InvalidConvexValue", f"Row {row} wasn't a valid Convex value: {reason}")


def not_an_object(row: int) -> FenchelError:
    return bad_request("NotAnObject", f"Row {row} wasn't an object")


def not_json_array() -> FenchelError:
    return bad_request("NotJsonArray", "Not a JSON array")


def not_json(reason: str) -> FenchelError:
    return bad_request("NotJson", f"Not valid JSON: {reason}")


def invalid_zip(reason: str) -> FenchelError:
    return bad_request("InvalidZip", f"invalid zip file: {reason}")


def number_conflict(first: str, second: str, number: int) -> FenchelError:
    return bad_request(
        "InvalidId", f"conflict between `{first}` and `{second}` with number {number}"
    )


def duplicate_table_name(name: str) -> FenchelError:
    return bad_request("DuplicateTableName", f"table `{name}` is listed twice in `_tables`")


def table_conflict(name: str, existing: str) -> FenchelError:
    return bad_request(
        "TableConflict",
        f"New table `{name}` has IDs that conflict with existing table `{existing}`. To replace "
        "all tables of this deployment with the import, use `npx convex import --replace-all`.",
    )


def foreign_key(name: str, referencing: str) -> FenchelError:
    return bad_request(
        "ImportForeignKey",
        f"Import changes table '{name}' which is referenced by '{referencing}' in the schema",
    )


def schema_changed() -> FenchelError:
    return bad_request(
        "ImportSchemaChanged",
        "Could not complete import because schema changed. Avoid modifying schema.ts while "
        "importing tables",
    )


def table_gone(name: str) -> FenchelError:
    return bad_request(
        "TableConflict", f"Table '{name}' was deleted or replaced while the import was running."
    )
