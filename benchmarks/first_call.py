"""How much longer does a call take when it is the first one after a deploy?"""

# Estimate: a warm call of this query takes 2 ms, half of it in a fresh context that was made ahead.
# The first one finds the context made and its functions compiled; what is left are the look-up of
# the new code (1 ms) and calls that nobody anticipates (0.2 ms): 1.6 times as long.

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from statistics import median
from urllib.parse import urlsplit

from benchmarks.deployed_app import DeployedApp, deployed_app
from benchmarks.engine.plan import EnginePlan
from benchmarks.push import app_files
from benchmarks.rounds import Measurement

_WARM_CALLS = 40
_CALLS_BETWEEN = 10

_ROWS = """\
import {{ v }} from "convex/values";
import {{ mutation, query }} from "./_generated/server";
export const version = query({{ args: {{}}, handler: async () => {number} }});
export const add = mutation({{
  args: {{ n: v.number() }},
  handler: async (ctx, {{ n }}) => await ctx.db.insert("rows", {{ n }}),
}});
export const list = query({{
  args: {{ n: v.number() }},
  returns: v.array(v.object({{ n: v.number(), text: v.string() }})),
  handler: async (ctx, {{ n }}) => {{
    const found = await ctx.db.query("rows").withIndex("by_n", (q) => q.gte("n", n)).take(20);
    return found.map((row) => ({{ n: row.n, text: `row ${{row.n}} of ${{found.length}}` }}));
  }},
}});
"""


async def measure(plan: EnginePlan) -> list[Measurement]:
    """Medians over as many deploys as the plan has rounds; each call has arguments of its own, so
    that none is answered from a cache.
    """
    return await asyncio.to_thread(_measure, min(plan.rounds, 7))


def _measure(rounds: int) -> list[Measurement]:
    with deployed_app() as deployed:
        deployed.write(app_files())
        caller = _Caller(deployed)
        _deploy(deployed, -1)
        for n in range(30):
            caller.call("mutation", "rows:add", n)
        firsts, warm = _Times(), _Times()
        for number in range(rounds):
            _deploy(deployed, number)
            firsts.add(caller)
            for _ in range(_CALLS_BETWEEN):
                _Times().add(caller)
            for _ in range(_WARM_CALLS):
                warm.add(caller)
    return [*_figures("query", firsts.query, warm.query), *_figures("send", firsts.send, warm.send)]


def _deploy(deployed: DeployedApp, number: int) -> None:
    deployed.write({"convex/rows.ts": _ROWS.format(number=number)})
    deployed.run("deploy")


class _Caller:
    """One connection that stays open; seconds per call."""

    def __init__(self, deployed: DeployedApp) -> None:
        address = urlsplit(deployed.server.url)
        assert address.hostname is not None
        self._connection = HTTPConnection(address.hostname, address.port)
        self._count = 0

    def next_number(self) -> float:
        self._count += 1
        return 5 + self._count / 1e6

    def call(self, kind: str, path: str, n: float) -> float:
        body = json.dumps({"path": path, "args": {"n": n}, "format": "json"})
        start = time.perf_counter()
        self._connection.request("POST", f"/api/{kind}", body, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        seconds = time.perf_counter() - start
        if answer["status"] != "success":
            raise RuntimeError(f"{path}: {answer}")
        return seconds


class _Times:
    def __init__(self) -> None:
        self.query: list[float] = []
        self.send: list[float] = []

    def add(self, caller: _Caller) -> None:
        self.query.append(caller.call("query", "rows:list", caller.next_number()))
        self.send.append(caller.call("mutation", "rows:add", caller.next_number()))


def _figures(name: str, firsts: list[float], warm: list[float]) -> list[Measurement]:
    figures: dict[str, tuple[Callable[[], float], str]] = {
        "first": (lambda: median(firsts) * 1e3, "ms"),
        "warm": (lambda: median(warm) * 1e3, "ms"),
        "first_by_warm": (lambda: median(firsts) / median(warm), "1"),
    }
    return [
        Measurement(name=f"first_call.{name}.{figure}", value=value(), unit=unit, peer="fenchel")
        for figure, (value, unit) in figures.items()
    ]
