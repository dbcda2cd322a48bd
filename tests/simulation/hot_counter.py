"""Clients that all increment one counter, through the application and its real retry policy."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from fenchel.errors import ConflictError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime, SeededRandomness, Settings
from fenchel.testing import FaultPlan, FaultyPersistence, SimulatedDisk, SimulatedProcess
from fenchel.testing.virtual_time import VirtualClock
from fenchel.values import Value
from tests.application.fakes import Backend, Ctx, FakeFunctionRunner, call, running_backend
from tests.database.helpers import scan


@dataclass
class HotCounterReport:
    """`latencies` are virtual seconds of successful mutations; `runs` counts executions."""

    latencies: list[float] = field(default_factory=list)
    exhausted: int = 0
    runs: int = 0
    value: Value = None
    elapsed_seconds: float = 0.0


async def run_hot_counter(
    *,
    client_count: int,
    increments_per_client: int,
    settings: Settings | None = None,
    execution_seconds: float = 0.02,
    write_seconds: float = 0.005,
    seed: int = 0,
) -> HotCounterReport:
    """Executions and durable writes take up to the given times; clients never pause."""
    source = random.Random(seed)
    clock = VirtualClock()
    runtime = Runtime(
        clock=clock, randomness=SeededRandomness(seed), settings=settings or Settings()
    )
    disk = SimulatedDisk(MemoryPersistence(), clock, source)
    disk.plan = FaultPlan(read_seconds=0.0, write_seconds=write_seconds)
    runner = _functions(disk, execution_seconds)
    report = HotCounterReport()
    persistence = FaultyPersistence(disk, SimulatedProcess())
    async with running_backend(runner, runtime=runtime, persistence=persistence) as backend:
        await backend.mutate("increment")
        runner.runs.clear()
        started = clock.monotonic()
        async with asyncio.TaskGroup() as clients:
            for number in range(client_count):
                clients.create_task(
                    _client(backend, clock, report, increments_per_client), name=f"client {number}"
                )
        report.elapsed_seconds = clock.monotonic() - started
        report.runs = runner.runs["increment"]
        report.value = await backend.query("get")
    return report


def _functions(disk: SimulatedDisk, execution_seconds: float) -> FakeFunctionRunner:
    runner = FakeFunctionRunner()

    async def counter(ctx: Ctx) -> tuple[str | None, float]:
        document = await ctx.tx.user().open_stream(scan("counters")).next()
        if document is None:
            return None, 0.0
        value = document.value["value"]
        assert isinstance(value, float)
        return document.id_text, value

    @runner.mutation
    async def increment(ctx: Ctx, args: dict[str, Any]) -> Value:
        id_text, value = await counter(ctx)
        await disk.wait(execution_seconds)
        if id_text is None:
            await ctx.tx.user().insert("counters", {"value": 0.0})
        else:
            await ctx.tx.user().patch(id_text, {"value": value + 1})
        return value + 1

    @runner.query
    async def get(ctx: Ctx, args: dict[str, Any]) -> Value:
        return (await counter(ctx))[1]

    return runner


async def _client(
    backend: Backend, clock: VirtualClock, report: HotCounterReport, increments: int
) -> None:
    for _ in range(increments):
        started = clock.monotonic()
        try:
            run = await backend.application.run_mutation(call("increment"))
        except ConflictError:
            report.exhausted += 1
        else:
            assert run.result.is_success
            report.latencies.append(clock.monotonic() - started)
