"""`fenchel usage`: ask a running server what functions, tables and files used, print it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import click

_ANSWER_SECONDS_MAX = 30.0
_MEBIBYTE = 1 << 20

_Usage = dict[str, Any]
# Heading and text of each column behind the function's name.
_COLUMNS: tuple[tuple[str, Callable[[_Usage], str]], ...] = (
    ("calls", lambda usage: f"{usage['calls']:,}"),
    ("cached", lambda usage: f"{usage['cachedCalls']:,}"),
    ("failed", lambda usage: f"{usage['failedCalls']:,}"),
    ("user s", lambda usage: f"{usage['userSeconds']:,.1f}"),
    ("GiB s", lambda usage: f"{usage['memoryMebibyteSeconds'] / 1024:,.1f}"),
    ("docs read", lambda usage: f"{usage['readDocuments']:,}"),
    ("MiB", lambda usage: _mebibytes(usage["readBytes"])),
    ("docs written", lambda usage: f"{usage['writtenDocuments']:,}"),
    ("MiB", lambda usage: _mebibytes(usage["writtenBytes"])),
    ("files in MiB", lambda usage: _mebibytes(usage["fileWrittenBytes"])),
    ("files out MiB", lambda usage: _mebibytes(usage["fileReadBytes"])),
    ("ingress MiB", lambda usage: _mebibytes(usage["ingressBytes"])),
    ("egress MiB", lambda usage: _mebibytes(usage["egressBytes"])),
)
_TABLE_COLUMNS: tuple[tuple[str, Callable[[_Usage], str]], ...] = (
    ("docs read", lambda row: f"{row['readDocuments']:,}"),
    ("MiB", lambda row: _mebibytes(row["readBytes"])),
    ("docs written", lambda row: f"{row['writtenDocuments']:,}"),
    ("MiB", lambda row: _mebibytes(row["writtenBytes"])),
    ("docs now", lambda row: f"{row['storedDocuments']:,}"),
    ("MiB", lambda row: _mebibytes(row["storedBytes"])),
)


def fetch_usage(
    url: str, admin_key: str, from_day: str | None, through_day: str | None
) -> dict[str, Any]:
    """The server's report. Raises: ClickException with what the server said."""
    days = {"from": from_day, "through": through_day}
    query = urlencode({name: day for name, day in days.items() if day is not None})
    request = Request(
        f"{url.rstrip('/')}/api/usage?{query}", headers={"Authorization": f"Convex {admin_key}"}
    )
    try:
        with urlopen(request, timeout=_ANSWER_SECONDS_MAX) as response:
            report: dict[str, Any] = json.load(response)
    except HTTPError as error:
        with error:
            raise click.ClickException(error.read().decode(errors="replace")) from error
    except (OSError, ValueError) as error:
        raise click.ClickException(f"No answer from {url}: {error}") from error
    return report


def render_usage(report: dict[str, Any]) -> str:
    """A line per function, those with the most calls first; a line per table, those that were read
    most first; what files hold."""
    rows = sorted(report["rows"], key=lambda row: -row["usage"]["calls"])
    functions = [["function", "kind", *(name for name, _ in _COLUMNS)]]
    functions += [
        [
            _name(row["component"], row["function"]),
            row["kind"],
            *(text(row["usage"]) for _, text in _COLUMNS),
        ]
        for row in rows
    ]
    lines = [f"{report['fromDay']} to {report['throughDay']} (UTC)", *_align(functions, 2)]
    if report["tables"]:
        lines += ["", *_align(_table_lines(report["tables"]), 1)]
    if report["files"]:
        lines += ["", *_align(_file_lines(report["files"]), 1)]
    return "\n".join(lines)


def _table_lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = [["table", *(name for name, _ in _TABLE_COLUMNS)]]
    for row in sorted(rows, key=lambda row: -row["readDocuments"]):
        name = _name(row["component"], row["table"])
        lines.append([name, *(text(row) for _, text in _TABLE_COLUMNS)])
    return lines


def _file_lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = [["files of", "files now", "MiB"]]
    for row in rows:
        name = row["component"] or "the app"
        lines.append([name, f"{row['files']:,}", _mebibytes(row["bytes"])])
    return lines


def _align(table: list[list[str]], name_columns: int) -> list[str]:
    """Lines of equal columns: names to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            text.ljust(width) if column < name_columns else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _name(component: str, name: str) -> str:
    return f"{component}/{name}" if component else name


def _mebibytes(count: int) -> str:
    return f"{count / _MEBIBYTE:,.1f}"
