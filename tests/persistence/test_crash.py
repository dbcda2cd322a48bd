"""Kill the process at any moment: what was acknowledged is there, exactly once and whole."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

from fenchel.database import Database
from fenchel.persistence import SqlitePersistence
from fenchel.runtime import Runtime

_CHILD = Path(__file__).with_name("crash_child.py")
_ACKNOWLEDGED_BEFORE_KILL = (1, 17, 60)


async def run_and_kill(directory: Path, first_number: int, count: int) -> dict[float, int]:
    """Timestamps by number of the commits that a child acknowledged before SIGKILL hit it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_CHILD),
        str(directory),
        str(first_number),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    lines = [await child.stdout.readline() for _ in range(count)]
    child.kill()
    lines += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    complete = [line.split() for line in lines if line.endswith(b"\n")]
    return {float(number): int(ts) for number, ts in complete}


async def stored_numbers(directory: Path, table: str) -> tuple[Counter[float], int]:
    """How often each number is stored, and the timestamp of the reopened database."""
    database = await Database.open(SqlitePersistence.open(directory), Runtime())
    tx = database.begin()
    source = {"type": "FullTableScan", "tableName": table, "order": None}
    stream = tx.user().open_stream({"source": source, "operators": []})
    found: Counter[float] = Counter()
    while (document := await stream.next()) is not None:
        number = document.value["number"]
        assert isinstance(number, float)
        found[number] += 1
    assert await tx.user().count(table) == found.total()
    await database.close()
    return found, tx.begin_ts


async def test_acknowledged_commits_survive_sigkill(tmp_path: Path) -> None:
    acknowledged: dict[float, int] = {}
    for round_number, count in enumerate(_ACKNOWLEDGED_BEFORE_KILL):
        acknowledged |= await run_and_kill(tmp_path, round_number * 1_000_000, count)
        numbers, reopened_ts = await stored_numbers(tmp_path, "numbers")
        pairs, _ = await stored_numbers(tmp_path, "pairs")
        assert numbers == pairs, "half a transaction"
        assert set(acknowledged) <= set(numbers)
        assert set(numbers.values()) == {1}
        assert reopened_ts > max(acknowledged.values())
