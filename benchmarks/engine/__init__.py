"""Questions to the database engine alone: no server, no isolates, one process.

Its peer is "raw": the same work by hand through the same driver. Cost is CPU time of the process,
all its threads, which other programs on the machine disturb little; rates are of the wall clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from benchmarks.engine import (
    backfill_rate,
    conflict_check,
    durable_commit,
    growth,
    import_export,
    insert,
    point_read,
    start_up,
    subscription_match,
)
from benchmarks.engine.plan import FULL, LARGE, QUICK, EnginePlan
from benchmarks.rounds import Measurement

__all__ = ["ENGINE_QUESTIONS", "FULL", "LARGE", "QUICK", "RAW", "EnginePlan"]

RAW = "raw"
ENGINE_QUESTIONS: dict[str, Callable[[EnginePlan], Awaitable[list[Measurement]]]] = {
    "point_read": point_read.measure,
    "insert": insert.measure,
    "durable_commit": durable_commit.measure,
    "conflict_check": conflict_check.measure,
    "subscription_match": subscription_match.measure,
    "backfill_rate": backfill_rate.measure,
    "import_export": import_export.measure,
    "start_up": start_up.measure,
    "growth": growth.measure,
}
