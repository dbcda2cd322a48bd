"""How many rows per second does an import write and an export read, what does each cost, and how
long at most is nothing else done in between?"""

# Estimate: an imported row is parsed twice, 5 µs, inserted for 15 µs, committed for 10 µs and
# stored in SQLite for 20 µs: 50 µs of CPU time, 20,000 rows/s, some of it in other threads. An
# exported one is read for 5 µs and packed for 5 µs. The loop is held up by the commit of a batch of
# 500: 15 ms.

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine.plan import EnginePlan
from benchmarks.rounds import Measurement
from tests.application.test_large_snapshots import measure_apart

_UNITS = {
    "per_second": "1/s",
    "cpu": "µs",
    "longest_turn": "ms",
}


async def measure(plan: EnginePlan) -> list[Measurement]:
    """JSON lines of 140 bytes in, a ZIP archive out, by a process of its own."""
    count = plan.document_count
    with TemporaryDirectory(prefix="fenchel-bench-") as folder:
        report = await measure_apart(Path(folder), count)
    figures = [
        (f"{work}.{name}", report[f"{work}_{name}"], unit)
        for work in ("import", "export")
        for name, unit in _UNITS.items()
    ]
    return [
        Measurement(name=f"import_export.{name}", value=value, unit=unit, peer="fenchel")
        for name, value, unit in [*figures, ("memory", report["mebibytes"], "MiB")]
    ]
