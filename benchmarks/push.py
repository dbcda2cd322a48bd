"""How long does `convex deploy` take: first, after one changed file, and when nothing changed?"""

# Estimate for 200 functions in 20 modules and five components: the CLI starts in 0.4 s, bundles in
# 0.3 s and writes types in 0.4 s of its one core. The server links 11 bundles (the app, five
# components, and each again with its snapshot) with esbuild for 50 ms each, evaluates them in 50
# ms each and builds six snapshots for 100 ms each: 1.7 s the first time. With one changed file one
# bundle and one snapshot are new: 0.3 s; with none nothing is built.

from __future__ import annotations

import asyncio
from collections.abc import Callable
from statistics import median

from benchmarks.deployed_app import Cost, DeployedApp, deployed_app
from benchmarks.engine.plan import EnginePlan
from benchmarks.rounds import Measurement

_MODULES = 20
_FUNCTIONS_PER_MODULE = 10
_COMPONENTS = ("one", "two", "three", "four", "five")

_SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ rows: defineTable({ n: v.number() }).index("by_n", ["n"]) });
"""
_QUERY = """\
export const read{number} = query({{
  args: {{ n: v.number() }},
  returns: v.array(v.number()),
  handler: async (ctx, {{ n }}) => {{
    const found = await ctx.db.query("rows").withIndex("by_n", (q) => q.gt("n", n)).take(10);
    return found.map((row) => row.n + {number});
  }},
}});
"""
_HEAD = """\
import { v } from "convex/values";
import { query } from "./_generated/server";
"""


async def measure(plan: EnginePlan) -> list[Measurement]:
    """The first push once; the others as often as the plan has rounds, medians."""
    return await asyncio.to_thread(_measure, min(plan.rounds, 5))


def _measure(rounds: int) -> list[Measurement]:
    with deployed_app() as deployed:
        deployed.write(app_files())
        first = [deployed.run("deploy")]
        # The first push wrote `_generated`, which is part of the second.
        deployed.run("deploy")
        unchanged = [deployed.run("deploy") for _ in range(rounds)]
        changed = [_push_change(deployed, number) for number in range(rounds)]
    return [
        *_figures("first", first),
        *_figures("no_change", unchanged),
        *_figures("one_file", changed),
    ]


def _push_change(deployed: DeployedApp, number: int) -> Cost:
    text = _module(0) + f'export const changed = query({{ handler: async () => "{number}" }});\n'
    deployed.write({"convex/module0.ts": text})
    return deployed.run("deploy")


def _figures(name: str, costs: list[Cost]) -> list[Measurement]:
    figures: dict[str, Callable[[Cost], float]] = {
        "wall": lambda cost: cost.wall_seconds,
        "cli_cpu": lambda cost: cost.cli_seconds,
        "server_cpu": lambda cost: cost.server_seconds,
    }
    return [
        Measurement(
            name=f"push.{name}.{figure}",
            value=median(map(select, costs)) * 1e3,
            unit="ms",
            peer="fenchel",
        )
        for figure, select in figures.items()
    ]


def app_files() -> dict[str, str]:
    files = {f"convex/module{n}.ts": _module(n) for n in range(_MODULES)}
    files["convex/schema.ts"] = _SCHEMA
    files["convex/convex.config.ts"] = _config()
    for name in _COMPONENTS:
        files[f"convex/{name}/convex.config.ts"] = (
            'import { defineComponent } from "convex/server";\n'
            f'export default defineComponent("{name}");\n'
        )
        files[f"convex/{name}/schema.ts"] = _SCHEMA
        files[f"convex/{name}/rows.ts"] = _module(0)
    return files


def _module(number: int) -> str:
    first = number * _FUNCTIONS_PER_MODULE
    functions = range(first, first + _FUNCTIONS_PER_MODULE)
    return _HEAD + "".join(_QUERY.format(number=n) for n in functions)


def _config() -> str:
    imports = [f'import {name} from "./{name}/convex.config";\n' for name in _COMPONENTS]
    uses = [f"app.use({name});\n" for name in _COMPONENTS]
    return (
        'import { defineApp } from "convex/server";\n'
        f"{''.join(imports)}const app = defineApp();\n{''.join(uses)}export default app;\n"
    )
