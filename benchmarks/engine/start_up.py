"""How long does a database of 1,000,000 documents take to open, and what memory does it need?"""

# Estimate: only metadata is read, some 60 rows: 10 ms, whatever the number of documents. Memory is
# that of the program, 60 MiB, and the documents that were read since.

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine.plan import EnginePlan
from benchmarks.rounds import Measurement
from tests.database.large_table import fill
from tests.database.test_start_up import measured


async def measure(plan: EnginePlan) -> list[Measurement]:
    """In a process of its own, which then gets 2,000 documents at random."""
    with TemporaryDirectory(prefix="fenchel-bench-") as folder:
        await fill(Path(folder), plan.start_up_count)
        found = await measured(Path(folder))
    figures = {
        ("open", "ms"): found["open_seconds"] * 1e3,
        ("memory_when_open", "MiB"): found["open_mebibytes"],
        ("memory_after_gets", "MiB"): found["mebibytes"],
        ("random_get", "µs"): found["get_microseconds"],
    }
    return [
        Measurement(
            name=f"start_up.d{plan.start_up_count}.{name}", value=value, unit=unit, peer="fenchel"
        )
        for (name, unit), value in figures.items()
    ]
