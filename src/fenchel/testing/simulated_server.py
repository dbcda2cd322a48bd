"""A service that crashes, stops and comes back over the same disk, on virtual time.

What runs as the service (a database, a whole application) the caller says; the server starts it
with a runtime of its own, and starts it again when it is needed and gone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fenchel.errors import FenchelError
from fenchel.persistence import MemoryPersistence, Persistence
from fenchel.runtime import FaultPoints, Runtime, SeededRandomness, Settings
from fenchel.testing.faulty_persistence import (
    FaultPlan,
    FaultyPersistence,
    SimulatedDisk,
    arm_crashes,
)
from fenchel.testing.simulated_process import ProcessCrashed, SimulatedProcess
from fenchel.testing.virtual_time import VirtualClock

Service = TypeVar("Service")
Result = TypeVar("Result")

_SEED_BITS = 64
_RESTART_SECONDS_MAX = 1.0
# Wall clocks are corrected, in both directions, while a machine restarts.
_CLOCK_STEP_NS = 20_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(Generic[Service]):
    """One life of the service."""

    process: SimulatedProcess
    service: Service


class SimulatedServer(Generic[Service]):
    """One life at a time, and those that were overtaken and do not know it yet. `start_count`
    counts those that came up."""

    def __init__(
        self,
        start: Callable[[Persistence, Runtime], Awaitable[Service]],
        source: random.Random,
        settings: Settings | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.disk = SimulatedDisk(MemoryPersistence(), self.clock, source)
        self.start_count = 0
        self._start = start
        self._source = source
        self._settings = settings or Settings()
        self._running: Running[Service] | None = None
        self._starting = asyncio.Lock()

    async def running(self) -> Running[Service]:
        """The present life, or a new one. Raises: ProcessCrashed if it dies while it starts."""
        async with self._starting:
            if self._running is None or not self._owns(self._running.process):
                self._running = await self._boot()
            return self._running

    async def call(self, work: Callable[[Service], Coroutine[Any, Any, Result]]) -> Result:
        """What `work` returns inside the process.

        A database that stopped by itself ends its process, as it does in production. Raises:
        ProcessCrashed, and what `work` raises.
        """
        running = await self.running()
        try:
            return await running.process.call(work(running.service))
        except FenchelError as error:
            if error.code not in ("DatabaseStopped", "LeaseLost"):
                raise
            running.process.crash()
            raise ProcessCrashed from error

    async def end(self) -> None:
        """Kill the present life; the next call starts another."""
        if self._running is not None:
            self._running.process.crash()
            await self._running.process.wait_ended()

    def set_faults(self, plan: FaultPlan) -> None:
        self.disk.plan = plan

    def _owns(self, process: SimulatedProcess) -> bool:
        return process.is_alive and self.disk.owner is process

    async def _boot(self) -> Running[Service]:
        if self._running is not None and not self._running.process.is_alive:
            await self._running.process.wait_ended()
            await self.disk.wait(_RESTART_SECONDS_MAX)
            self.clock.skew_ns += self._source.randint(-_CLOCK_STEP_NS, _CLOCK_STEP_NS)
        process = SimulatedProcess()
        runtime = Runtime(
            clock=self.clock,
            randomness=SeededRandomness(self._source.getrandbits(_SEED_BITS)),
            faults=FaultPoints(),
            settings=self._settings,
        )
        arm_crashes(runtime.faults, self.disk, process)
        persistence = FaultyPersistence(self.disk, process)
        try:
            service = await process.call(self._open(persistence, runtime))
        except (OSError, FenchelError) as error:
            process.crash()
            raise ProcessCrashed from error
        self.start_count += 1
        return Running(process=process, service=service)

    async def _open(self, persistence: Persistence, runtime: Runtime) -> Service:
        return await self._start(persistence, runtime)
