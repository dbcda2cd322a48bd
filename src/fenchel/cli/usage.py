"""`fenchel usage`: ask a running server what functions and files used, print it as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
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
    ("egress MiB", lambda usage: _mebibytes(usage["egressBytes"])),
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
    """One line per function, those with the most calls first."""
    rows = sorted(report["rows"], key=lambda row: -row["usage"]["calls"])
    table = [["function", "kind", *(name for name, _ in _COLUMNS)]]
    table += [
        [_name(row), row["kind"], *(text(row["usage"]) for _, text in _COLUMNS)] for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    days = f"{report['fromDay']} to {report['throughDay']} (UTC)"
    return "\n".join([days, *(_render_line(line, widths) for line in table)])


def _render_line(line: Iterable[str], widths: list[int]) -> str:
    function, kind, *numbers = (
        text.ljust(width) if column < 2 else text.rjust(width)
        for column, (text, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join((function, kind, *numbers)).rstrip()


def _name(row: dict[str, Any]) -> str:
    component = row["component"]
    return f"{component}/{row['function']}" if component else str(row["function"])


def _mebibytes(count: int) -> str:
    return f"{count / _MEBIBYTE:,.1f}"
