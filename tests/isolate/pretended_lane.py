"""A lane whose workers are pretended."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import cast

from prometheus_client import CollectorRegistry

from fenchel.isolate.metrics import IsolateMetrics, WorkerEnd
from fenchel.isolate.worker import Worker
from fenchel.isolate.worker_lane import Crowd, Reservation, WorkerLane
from fenchel.isolate.worker_supply import WorkerSupply
from fenchel.runtime import SystemClock
from fenchel.runtime.settings import IsolateSettings

ANY = Reservation(bundle_key="b", udf_type="Query")
LIMITS = IsolateSettings(executions_per_worker_max=2, relief_workers_max=1)


class PretendedWorker:
    """The part of a worker that a lane looks at."""

    def __init__(self, name: int, supply: PretendedSupply, loaded: str = "") -> None:
        self.supply = supply
        self.name = name
        self.reservation_count = 0
        self.long_count = 0
        self.is_reserved_alone = False
        self.is_stalled = False
        self.idle_since = 0.0
        self.end_reason: WorkerEnd | None = None
        self.worn_by: WorkerEnd | None = None
        self.process = self
        self.loaded = loaded

    def kill(self, reason: str) -> None:
        self.supply.end(self)

    def has_loaded(self, bundle_key: str) -> bool:
        return bundle_key == self.loaded


class SetClock(SystemClock):
    """Stands at `seconds`."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class PretendedSupply:
    def __init__(self) -> None:
        self.taken: list[PretendedWorker] = []
        self.alive: list[PretendedWorker] = []
        self.on_death: Callable[[Worker], None] | None = None
        self.registry = CollectorRegistry()
        self.clock = SetClock()

    async def take(self, on_death: Callable[[Worker], None]) -> Worker:
        self.on_death = on_death
        worker = PretendedWorker(len(self.taken), self)
        self.taken.append(worker)
        self.alive.append(worker)
        return cast(Worker, worker)

    def end(self, worker: PretendedWorker) -> None:
        assert self.on_death is not None
        self.alive.remove(worker)
        self.on_death(cast(Worker, worker))


async def lane_of(
    count: int, *, idle_count_min: int = 1, crowd: Crowd | None = None, **settings: float
) -> tuple[WorkerLane, PretendedSupply]:
    supply = PretendedSupply()
    limits = dataclasses.replace(LIMITS, **settings)  # type: ignore[arg-type]
    lane = WorkerLane(
        "test",
        count,
        cast(WorkerSupply, supply),
        limits,
        IsolateMetrics(supply.registry),
        supply.clock,
        idle_count_min=idle_count_min,
        crowd=crowd,
    )
    await lane.start()
    return lane, supply


async def reserve(lane: WorkerLane, stack: AsyncExitStack, wish: Reservation = ANY) -> int:
    worker = await stack.enter_async_context(lane.reserve(wish))
    return cast(PretendedWorker, worker).name


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)
