"""What does it cost to insert a document, and 100 of them in one durable transaction? Raw: the rows
of the same tables by apsw, prepared beforehand.

`call` is the insert alone: rules, limits, size, JSON text, read and write set; nothing is stored.
"""

# Estimate: an insert looks the table up, 2 µs, draws and encodes an id, 4 µs, looks at the value
# once, 3 µs, writes its JSON, 2 µs, and notes it in read and write set, 4 µs: 15 µs. In a commit of
# 100 each adds its keys and rows, 10 µs, and what SQLite needs, 15 µs.

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine.durable_commit import (
    Peer,
    batches_of,
    measure_prepared,
    opened,
    raw_sqlite_peer,
)
from benchmarks.engine.plan import EnginePlan, Work, compare
from benchmarks.engine.rows import TABLE, raw_sqlite, row_value
from benchmarks.rounds import Measurement
from fenchel.database import Database
from fenchel.persistence import SqlitePersistence

_PER_TRANSACTION = 100


async def measure(plan: EnginePlan) -> list[Measurement]:
    """CPU time for each document."""
    with TemporaryDirectory(prefix="fenchel-bench-") as folder:
        raw_directory = Path(folder) / "raw"
        await SqlitePersistence.open(raw_directory).close()
        async with opened(SqlitePersistence.open(Path(folder))) as database:
            with raw_sqlite(raw_directory / "fenchel.sqlite3") as raw:
                batches = batches_of(database, _PER_TRANSACTION)
                peers = {
                    "fenchel": _storing(database),
                    "raw": raw_sqlite_peer(raw, batches, _PER_TRANSACTION),
                }
                return [
                    *await compare(plan, "insert.call", {"fenchel": _inserting(database)}),
                    *await measure_prepared(plan, f"insert.x{_PER_TRANSACTION}", peers),
                ]


def _inserting(database: Database) -> Work:
    async def work(count: int) -> None:
        user = database.begin().user()
        for number in range(count):
            await user.insert(TABLE, row_value(number))

    return work


def _storing(database: Database) -> Peer:
    async def store(count: int) -> None:
        for first in range(0, count, _PER_TRANSACTION):
            tx = database.begin()
            user = tx.user()
            for number in range(first, first + _PER_TRANSACTION):
                await user.insert(TABLE, row_value(number))
            await database.commit(tx)

    return lambda count: partial(store, count)
