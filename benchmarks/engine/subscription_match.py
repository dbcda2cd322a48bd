"""What does a commit cost with 100, 10,000 and 100,000 live queries, of which it touches one?

Each live query is a range of an index, as functions read it; one of them sees the new document.
"""

# Estimate: a commit of one document over memory costs 150 µs without subscriptions. Its keys in
# three indexes are looked up in the maps of intervals, 20 steps of 0.3 µs each at 100,000; ending
# one subscription takes it out of the maps, another 20 µs. So 170 to 200 µs, whatever the number.

from __future__ import annotations

import asyncio
from dataclasses import replace

from benchmarks.engine.plan import EnginePlan, Work, compare
from benchmarks.engine.rows import SCHEMA, TABLE, group_query
from benchmarks.rounds import Measurement
from fenchel.database import Database
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from tests.database.helpers import insert, push


async def measure(plan: EnginePlan) -> list[Measurement]:
    """CPU time of a commit and the subscription that takes the place of the ended one."""
    few = replace(plan, operations=plan.operations // 4)
    measurements: list[Measurement] = []
    for count in plan.subscription_counts:
        database = await Database.open(MemoryPersistence(), Runtime())
        await push(database, SCHEMA)
        await insert(database, TABLE, {"group": -1.0})
        for group in range(count):
            await _watch(database, group)
        for name, step in (("touch_none", 0), ("touch_one", 1)):
            works = {"fenchel": _committing(database, count, step)}
            measurements += await compare(few, f"subscription_match.{name}.s{count}", works)
        await database.close()
    return measurements


async def _watch(database: Database, group: int) -> None:
    """The live query of that group; it stays live."""
    tx = database.begin()
    stream = tx.user().open_stream(group_query(group))
    page = await stream.fetch_page()
    stream.record_consumed(len(page.documents), True)
    invalidated: list[object] = []
    database.subscribe(database.token(tx), invalidated.append)


def _committing(database: Database, subscription_count: int, step: int) -> Work:
    """`step` 1: into the group of a live query, which runs again; 0: into one without."""
    state = {"place": 0}

    async def work(count: int) -> None:
        for _ in range(count):
            state["place"] += 1
            group = state["place"] % subscription_count if step else -1.0
            tx = database.begin()
            await tx.user().insert(TABLE, {"group": float(group)})
            await database.commit(tx)
            await asyncio.sleep(0)
            if step:
                await _watch(database, int(group))

    return work
