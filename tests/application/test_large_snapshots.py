"""Imports and exports of many rows: bounded memory, and nobody else has to wait for them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_LARGE_COUNT = int(os.environ.get("FENCHEL_SNAPSHOT_ROWS", "1000000"))
# CPU milliseconds of one turn of the event loop.
_TURN_MAX = 250.0


async def test_other_work_goes_on_during_import_and_export(tmp_path: Path) -> None:
    report = await measure_apart(tmp_path, 3_000)
    assert report["import_longest_turn"] < _TURN_MAX, report
    assert report["export_longest_turn"] < _TURN_MAX, report


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_many_rows_need_little_memory_and_stop_nobody(tmp_path: Path) -> None:
    report = await measure_apart(tmp_path, _LARGE_COUNT)
    print(report)
    assert report["import_longest_turn"] < _TURN_MAX, report
    assert report["export_longest_turn"] < _TURN_MAX, report
    assert report["mebibytes"] < 400, report


async def measure_apart(folder: Path, row_count: int) -> dict[str, float]:
    """In a process of its own: garbage of other tests would count as turns of this one."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.application.large_snapshot",
        str(folder),
        str(row_count),
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    report: dict[str, float] = json.loads(output)
    return report
