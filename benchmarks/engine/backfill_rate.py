"""How many documents per second does the filling of a new index pass, and how long at most is
nothing else done in between?"""

# Estimate: a page of documents is read for 6 µs each, each is decoded for 5 µs, its key made for 3
# µs and its entry written for 4 µs: 20 µs, 50,000 documents/s. The loop is held up by one page.

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine.plan import EnginePlan
from benchmarks.engine.rows import TABLE, fill
from benchmarks.rounds import Measurement
from fenchel.database import Database
from fenchel.persistence import SqlitePersistence
from fenchel.runtime import Runtime
from tests.application.large_snapshot import watched_turns
from tests.database.helpers import push, schema

_SCHEMA = schema(
    {TABLE: {"indexes": {"by_group": ["group"], "by_number": ["number"]}}}, validation=False
)


async def measure(plan: EnginePlan) -> list[Measurement]:
    """One push that adds an index to a filled table."""
    with TemporaryDirectory(prefix="fenchel-bench-") as folder:
        database = await Database.open(SqlitePersistence.open(Path(folder)), Runtime())
        await fill(database, plan.document_count)
        turns: list[float] = []
        began, cpu_began = time.perf_counter(), time.process_time()
        async with watched_turns(turns):
            await push(database, _SCHEMA)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
        await database.close()
    count = plan.document_count
    return [
        _figure("per_second", count / seconds, "1/s"),
        _figure("cpu", cpu / count * 1e6, "µs"),
        _figure("longest_turn", max(turns) * 1e3, "ms"),
    ]


def _figure(name: str, value: float, unit: str) -> Measurement:
    return Measurement(name=f"backfill_rate.{name}", value=value, unit=unit, peer="fenchel")
