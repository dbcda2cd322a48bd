"""Opening costs what the metadata costs, not the data (database specification 9.8)."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from fenchel.database import Database
from fenchel.documents import Interval
from fenchel.persistence import IndexPage, SqlitePersistence
from fenchel.runtime import Runtime
from tests.database.large_table import TABLE, fill

_ROOT = Path(__file__).parents[2]


async def measured(directory: Path) -> dict[str, float]:
    """What `large_table` finds when it opens the directory in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.database.large_table",
        str(directory),
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    found: dict[str, float] = json.loads(output)
    return found


async def test_no_index_of_a_user_table_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path, 100)
    loaded: list[bytes] = []
    original = SqlitePersistence.load_index_page

    async def note(
        self: SqlitePersistence,
        index_id: bytes,
        interval: Interval,
        *,
        ts: int,
        is_descending: bool,
        limit: int,
    ) -> IndexPage:
        loaded.append(index_id)
        return await original(
            self, index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )

    monkeypatch.setattr(SqlitePersistence, "load_index_page", note)
    database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    metadata = database.metadata
    in_memory = {
        index.index_id
        for table in metadata.tables.values()
        if table.is_in_memory
        for index in metadata.indexes[table.tablet_id]
    }
    assert loaded
    assert set(loaded) <= in_memory
    assert await database.begin().user().count(TABLE) == 101
    await database.close()


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("count", [1_000_000, 5_000_000])
async def test_start_up_does_not_depend_on_the_number_of_documents(
    tmp_path: Path, count: int
) -> None:
    (tmp_path / "small").mkdir()
    await fill(tmp_path / "small", 1_000)
    small = await measured(tmp_path / "small")
    await fill(tmp_path / "large", count)
    large = await measured(tmp_path / "large")
    report = f"{small} {large}"
    assert large["documents"] == count + 1
    assert large["open_seconds"] < small["open_seconds"] + 0.5, report
    assert large["open_mebibytes"] < small["open_mebibytes"] + 16, report
    assert large["mebibytes"] < 256, report
