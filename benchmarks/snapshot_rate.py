"""How many rows per second do `convex import` and `convex export` move, and at what cost?"""

# Estimate: a row of 100 bytes is decoded, checked, encoded and written with two index entries for
# 25 µs: 40,000 rows/s in. Out it is read and written as JSON and deflated for 10 µs: 100,000
# rows/s. The CLI itself takes 0.7 s each time.

from __future__ import annotations

import asyncio
import json

from benchmarks.deployed_app import Cost, deployed_app
from benchmarks.engine.plan import EnginePlan
from benchmarks.rounds import Measurement

_MODULE = """\
import { query } from "./_generated/server";
export const nothing = query({ args: {}, handler: async () => null });
"""


async def measure(plan: EnginePlan) -> list[Measurement]:
    """One import and one export of the plan's usual table."""
    return await asyncio.to_thread(_measure, plan.document_count)


def _measure(count: int) -> list[Measurement]:
    with deployed_app() as deployed:
        deployed.write({"convex/app.ts": _MODULE, "rows.jsonl": _rows(count)})
        deployed.run("deploy")
        imported = deployed.run("import", "--table", "rows", "rows.jsonl")
        exported = deployed.run("export", "--path", "rows.zip")
    return [*_figures("import", count, imported), *_figures("export", count, exported)]


def _figures(name: str, count: int, cost: Cost) -> list[Measurement]:
    prefix = f"snapshot_rate.d{count}.{name}"
    return [
        Measurement(
            name=f"{prefix}.per_second", value=count / cost.wall_seconds, unit="1/s", peer="fenchel"
        ),
        Measurement(
            name=f"{prefix}.server_cpu",
            value=cost.server_seconds / count * 1e6,
            unit="µs",
            peer="fenchel",
        ),
    ]


def _rows(count: int) -> str:
    row = {"author": "somebody", "body": "a sentence of the usual length, more or less"}
    return "".join(json.dumps(row | {"number": n}) + "\n" for n in range(count))
