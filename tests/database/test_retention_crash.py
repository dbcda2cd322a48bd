"""Kill the process while old versions are deleted: nothing that lives is lost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from fenchel.database import Database, Retention
from fenchel.persistence import SqlitePersistence
from fenchel.runtime import Runtime
from tests.database.helpers import query, scan
from tests.database.retention_child import SETTINGS

_CHILD = Path(__file__).with_name("retention_child.py")


async def run_and_kill(directory: Path, line_count: int) -> dict[int, float]:
    """The last acknowledged number of each counter, in the order of the table."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.database.retention_child",
        str(directory),
        stdout=asyncio.subprocess.PIPE,
        cwd=_CHILD.parents[2],
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    lines = [await child.stdout.readline() for _ in range(line_count)]
    assert all(lines), "the child has failed"
    child.kill()
    lines += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    complete = [line.split() for line in lines if line.endswith(b"\n")]
    return {int(place): float(number) for place, number in complete}


async def check(directory: Path, acknowledged: dict[int, float]) -> None:
    """Counters are at least what was acknowledged; after a last deletion only live rows remain."""
    database = await Database.open(SqlitePersistence.open(directory), Runtime(settings=SETTINGS))
    tx = database.begin()
    numbers = await query(tx, scan("counters"))
    assert len(numbers) == 8
    for place, number in acknowledged.items():
        found = numbers[place]
        assert isinstance(found, float)
        assert found >= number
    guests = len(await query(tx, scan("guests")))
    assert guests == await tx.user().count("guests")
    retention = await Retention.load(database)
    for _ in range(2):
        await retention.run_round()
    assert await query(database.begin(), scan("counters")) == numbers
    for name, count in (("counters", 8), ("guests", guests)):
        table = database.metadata.root_table(name)
        for index in database.metadata.indexes[table.tablet_id]:
            rows = await database.persistence.load_index_rows(index.index_id, limit=1_000)
            assert len(rows) == count, index.name
    await database.close()


async def rounds(directory: Path, line_counts: list[int]) -> None:
    acknowledged: dict[int, float] = {}
    for line_count in line_counts:
        acknowledged |= await run_and_kill(directory, line_count)
        await check(directory, acknowledged)


async def test_sigkill_during_deletion_loses_nothing(tmp_path: Path) -> None:
    await rounds(tmp_path, [1, 40, 150])


@pytest.mark.slow
async def test_sigkill_during_deletion_loses_nothing_in_many_rounds(tmp_path: Path) -> None:
    await rounds(tmp_path, [(7 * n) % 400 + 1 for n in range(60)])
