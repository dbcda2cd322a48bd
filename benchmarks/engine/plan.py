"""How much the engine's questions do, and how they count."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from benchmarks.rounds import Measurement

Work = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """`operations` are of one round. `document_count` is the usual table, `growth_counts` those of
    the question about growth."""

    rounds: int
    operations: int
    document_count: int
    start_up_count: int
    subscription_counts: tuple[int, ...]
    growth_counts: tuple[int, ...]


FULL = EnginePlan(
    rounds=12,
    operations=1_000,
    document_count=100_000,
    start_up_count=1_000_000,
    subscription_counts=(100, 10_000, 100_000),
    growth_counts=(10_000, 100_000),
)
# Minutes and gigabytes: asked for with --large.
LARGE = EnginePlan(
    rounds=12,
    operations=1_000,
    document_count=100_000,
    start_up_count=1_000_000,
    subscription_counts=(100, 10_000, 100_000),
    growth_counts=(10_000, 100_000, 1_000_000, 5_000_000),
)
QUICK = EnginePlan(
    rounds=2,
    operations=300,
    document_count=2_000,
    start_up_count=10_000,
    subscription_counts=(10, 1_000),
    growth_counts=(1_000, 10_000),
)


async def cpu_microseconds(work: Work, count: int) -> float:
    """CPU time of the process for each of `count` operations, all of which one call does."""
    began = time.process_time()
    await work(count)
    return (time.process_time() - began) / count * 1e6


async def compare(plan: EnginePlan, name: str, works: Mapping[str, Work]) -> list[Measurement]:
    """CPU time per operation of each peer in its fastest round: whatever else runs on the machine
    only adds to it. Rounds take turns; the first does not count."""
    found: dict[str, list[float]] = {peer: [] for peer in works}
    for number in range(plan.rounds + 1):
        for peer, work in works.items():
            cost = await cpu_microseconds(work, plan.operations)
            if number > 0:
                found[peer].append(cost)
    return [
        Measurement(name=f"{name}.cpu", value=min(costs), unit="µs", peer=peer)
        for peer, costs in found.items()
    ]
