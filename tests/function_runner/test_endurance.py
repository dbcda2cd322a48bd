"""A hundred thousand executions: nothing grows, neither memory nor handles nor latency."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from dataclasses import dataclass

import pytest

from fenchel.isolate.spawn import read_resident_bytes
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import MEBIBYTE, IsolateSettings
from tests.function_runner.harness import App, running_app
from tests.function_runner.test_in_process_function_runner import value_of

EXECUTIONS = 100_000
PER_ROUND = 5_000
CALLERS = 4
GROWTH_BYTES_MAX = 100 * MEBIBYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Latencies in seconds, and what was held after it."""

    p50: float
    p99: float
    backend_bytes: int
    worker_bytes: int
    handle_count: int


async def run_round(app: App) -> Round:
    seconds: list[float] = []

    async def caller() -> None:
        for _ in range(PER_ROUND // CALLERS):
            start = time.perf_counter()
            value_of(await app.query("messages:list"))
            seconds.append(time.perf_counter() - start)

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
    seconds.sort()
    gc.collect()
    workers = app.pool._supply.workers()
    return Round(
        p50=seconds[len(seconds) // 2],
        p99=seconds[len(seconds) * 99 // 100],
        backend_bytes=read_resident_bytes(os.getpid()),
        worker_bytes=sum(read_resident_bytes(worker.process.pid) for worker in workers),
        handle_count=len(os.listdir("/proc/self/fd")),
    )


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_a_hundred_thousand_executions_leave_nothing() -> None:
    settings = Settings(isolate=IsolateSettings(worker_count=2))
    async with running_app(Runtime(settings=settings)) as app:
        await run_round(app)
        rounds = []
        for _ in range(EXECUTIONS // PER_ROUND):
            rounds.append(await run_round(app))
            print(rounds[-1], flush=True)
    first, last = rounds[0], rounds[-1]
    assert last.handle_count <= first.handle_count
    assert last.backend_bytes - first.backend_bytes < GROWTH_BYTES_MAX
    assert last.worker_bytes - first.worker_bytes < GROWTH_BYTES_MAX
    half = len(rounds) // 2
    assert median([r.p50 for r in rounds[half:]]) < 2 * median([r.p50 for r in rounds[:half]])
    assert median([r.p99 / r.p50 for r in rounds]) < 5
