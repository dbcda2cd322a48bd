"""The process that `test_sqlite_persistence` kills: one commit that is stored, one refused."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from fenchel.database import Database
from fenchel.persistence import NotStoredError, SqlitePersistence
from fenchel.runtime import Runtime

# What still fits behind the stored commits: some frames of the refused one.
_FREE_BYTES = 100_000


async def main(directory: Path) -> None:
    database = await Database.open(SqlitePersistence.open(directory), Runtime())
    await _insert(database, 1.0, "")
    size = (directory / "fenchel.sqlite3-wal").stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + _FREE_BYTES, hard))
    try:
        await _insert(database, 2.0, "x" * 900_000)
    except NotStoredError:
        print("refused", flush=True)
    await asyncio.get_running_loop().create_future()


async def _insert(database: Database, number: float, text: str) -> None:
    tx = database.begin()
    await tx.user().insert("items", {"n": number, "text": text})
    await database.commit(tx)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
