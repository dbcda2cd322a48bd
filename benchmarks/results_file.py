"""What is kept of a run: a table for the reader, JSON lines for later comparison.

One line per figure: {name, value, unit, peer, ratio, commit, machine, date}. `ratio` is the value
divided by the reference peer's in the same run; null when none was in it.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.load import ROOT
from benchmarks.rounds import Measurement

RESULTS = ROOT / "benchmarks" / "results"
COLUMN_WIDTH = 20


class ResultLine(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: float
    unit: str
    peer: str
    ratio: float | None
    commit: str
    machine: str
    date: str


def result_lines(
    measurements: Sequence[Measurement], *, references: Collection[str], commit: str
) -> list[ResultLine]:
    """The measurements, their ratio to the first reference peer of each, when and where made."""
    of_reference: dict[str, float] = {}
    for m in measurements:
        if m.peer in references:
            of_reference.setdefault(m.name, m.value)
    machine = describe_machine()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    lines = []
    for m in measurements:
        base = of_reference.get(m.name)
        lines.append(
            ResultLine(
                name=m.name,
                value=round(m.value, 3),
                unit=m.unit,
                peer=m.peer,
                ratio=round(m.value / base, 3) if base else None,
                commit=commit,
                machine=machine,
                date=date,
            )
        )
    return lines


def append_lines(lines: Sequence[ResultLine]) -> Path:
    """Appends to the file of the run's day and gives its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{lines[0].date[:10]}.jsonl"
    with path.open("ab") as file:
        for line in lines:
            file.write(msgspec.json.encode(line) + b"\n")
    return path


def format_table(lines: Sequence[ResultLine]) -> str:
    """One row per figure, one column per peer: the value, and in brackets its ratio."""
    peers = list(dict.fromkeys(line.peer for line in lines))
    cells = {(line.name, line.peer): _format_cell(line) for line in lines}
    rows = list(dict.fromkeys((line.name, line.unit) for line in lines))
    width = max(len(f"{name} {unit}") for name, unit in rows) + 2
    head = " " * width + "".join(f"{peer:>{COLUMN_WIDTH}}" for peer in peers)
    body = [
        f"{f'{name} {unit}':<{width}}"
        + "".join(f"{cells.get((name, peer), '-'):>{COLUMN_WIDTH}}" for peer in peers)
        for name, unit in rows
    ]
    return "\n".join((head, *body))


def _format_cell(line: ResultLine) -> str:
    value = f"{line.value:,.0f}" if line.value >= 100 else f"{line.value:.3g}"
    return value if line.ratio is None else f"{value} ({line.ratio:.2f}x)"


def describe_commit() -> str:
    """Short hash of the commit, with "+" when the tree differs from it; "none" outside of git."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "none"
    return f"{commit}+" if _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else ""


def describe_machine() -> str:
    """Processor, cores and versions that explain a difference between two runs."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
