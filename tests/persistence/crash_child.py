"""The process that crash tests kill: commits in a loop and prints what was acknowledged."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fenchel.database import Database
from fenchel.errors import ConflictError
from fenchel.persistence import Persistence, PostgresPersistence, SqlitePersistence
from fenchel.runtime import Runtime

_WRITERS = 4


async def open_persistence(place: str) -> Persistence:
    """`place` is a Postgres URL or the path of a data directory."""
    if place.startswith("postgres://"):
        return await PostgresPersistence.open(place, Runtime())
    return SqlitePersistence.open(Path(place))


async def main(place: str, first_number: int) -> None:
    database = await Database.open(await open_persistence(place), Runtime())
    print("ready", flush=True)
    await asyncio.gather(
        *(_commit_forever(database, first_number + writer) for writer in range(_WRITERS))
    )


async def _commit_forever(database: Database, number: int) -> None:
    while True:
        tx = database.begin()
        await tx.user().insert("numbers", {"number": float(number)})
        await tx.user().insert("pairs", {"number": float(number)})
        try:
            ts = await database.commit(tx)
        except ConflictError:
            # All writers create the tables at once; one of them succeeds.
            continue
        print(number, ts, flush=True)
        number += _WRITERS


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
