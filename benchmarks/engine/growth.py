"""How do get, range and insert grow with the table, from 10 thousand to 5 million documents?

Random documents of the whole table, so at the large sizes hardly any is cached. The large sizes are
measured with --large only: filling them takes minutes.
"""

# Estimate: a tree of 5 million rows is one or two levels deeper than one of 10 thousand, and its
# leaves are not in the processor's caches: gets and ranges cost 1.5 to 2 times as much, inserts the
# same. Nothing that we keep in memory grows with the table.

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine.durable_commit import committing
from benchmarks.engine.plan import EnginePlan, Work, compare
from benchmarks.engine.point_read import gets_of, opened, ranges_of
from benchmarks.engine.rows import fill
from benchmarks.rounds import Measurement
from fenchel.database import Database
from fenchel.runtime.settings import DatabaseSettings


async def measure(plan: EnginePlan) -> list[Measurement]:
    """CPU time of each operation, and bytes on disk per document, at each size."""
    measurements: list[Measurement] = []
    for count in plan.growth_counts:
        with TemporaryDirectory(prefix="fenchel-bench-") as folder:
            directory = Path(folder)
            async with opened(directory, DatabaseSettings()) as database:
                await fill(database, count)
            async with opened(directory, DatabaseSettings()) as database:
                for name, work in _works(database, count).items():
                    found = await compare(plan, f"growth.{name}.d{count}", {"fenchel": work})
                    measurements += found
            size_bytes = (directory / "fenchel.sqlite3").stat().st_size
            measurements.append(
                Measurement(
                    name=f"growth.file.d{count}",
                    value=size_bytes / count,
                    unit="bytes",
                    peer="fenchel",
                )
            )
    return measurements


def _works(database: Database, count: int) -> dict[str, Work]:
    commit = committing(database, 64)

    async def insert(insert_count: int) -> None:
        await commit(insert_count)()

    return {
        "get": gets_of(database, _choose(count)),
        "range": ranges_of(database, _choose(count)),
        "insert": insert,
    }


def _choose(count: int) -> list[int]:
    """Rows all over the table."""
    return random.Random(3).sample(range(count), min(count, 100_000))
