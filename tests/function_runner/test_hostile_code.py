"""Code that wants to take the system with it: one error outcome, and the next call works."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal

import pytest
from msgspec.structs import replace

from fenchel.errors import FenchelError
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import FunctionResult, UdfOutcome, UdfType
from tests.function_runner.harness import App, AppCallbacks, bundled_app, running_app
from tests.function_runner.test_in_process_function_runner import error_of, value_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT = "Function execution timed out (maximum duration: 1s)"
MEMORY = "JavaScript execution ran out of memory (maximum memory usage: 64 MB)"


async def test_an_infinite_loop_times_out(app: App) -> None:
    before = value_of(await app.query("messages:list"))
    assert error_of(await app.query("hostile:loop")).message == TIMEOUT
    assert value_of(await app.query("messages:list")) == before


async def test_a_growing_map_that_has_the_time_runs_out_of_memory() -> None:
    patient = IsolateSettings(worker_count=1, user_time_seconds_max=30.0)
    async with running_app(Runtime(settings=Settings(isolate=patient))) as app:
        assert error_of(await app.query("hostile:bomb")).message == MEMORY
        assert value_of(await app.query("messages:list")) == []


async def test_a_worker_lives_through_more_pushes_than_it_keeps() -> None:
    settings = Settings(isolate=IsolateSettings(worker_count=1, bundles_per_worker_max=2))
    async with running_app(Runtime(settings=settings)) as app:
        (worker,) = app.pool._transactions._workers
        for number in range(4):
            await app.set_variable("NUMBER", str(number))
            assert value_of(await app.query("messages:list")) == []
        assert app.pool._transactions._workers == [worker]


async def test_a_huge_array_ends_its_worker_and_nothing_else() -> None:
    async with running_app(modules=bundled_app()) as app:
        outcome, neighbour = await asyncio.gather(
            app.mutation("killers:arrayBomb"), app.query("messages:list")
        )
        assert error_of(outcome).message in (MEMORY, TIMEOUT)
        assert value_of(neighbour) == []
        assert value_of(await app.query("messages:list")) == []


async def test_killing_workers_under_load_loses_no_query_and_no_mutation(app: App) -> None:
    """A busy worker dies every ten calls, not every so many seconds: on a slow machine that would
    be before it has done anything."""
    calls = itertools.count(1)

    def kill_every_tenth() -> None:
        busy = [worker for worker in app.pool._supply.workers() if worker.is_busy]
        if next(calls) % 10 == 0 and busy:
            os.kill(busy[0].process.pid, signal.SIGKILL)

    async def client(number: int) -> None:
        for step in range(10):
            args = {"author": f"client {number}", "body": str(step)}
            value_of(await app.mutation("messages:send", args))
            kill_every_tenth()
            value_of(await app.query("messages:list"))
            kill_every_tenth()

    async with asyncio.TaskGroup() as clients:
        for number in range(8):
            clients.create_task(client(number))
    rows = value_of(await app.query("messages:list", {"limit": 1000}))
    found = ((row["author"], row["body"]) for row in rows)
    written = sorted(row for row in found if row[0].startswith("client"))
    assert written == sorted((f"client {n}", str(s)) for n in range(8) for s in range(10))


async def start_endless(app: App, path: str = "hostile:waitForever") -> asyncio.Task[UdfOutcome]:
    """An action that has begun and will not end by itself."""
    has_begun = asyncio.Event()
    request = replace(
        app.request(UdfType.ACTION, path),
        on_log_line=lambda line: has_begun.set(),
    )
    task = asyncio.create_task(app.runner.run_action(request, AppCallbacks(app)))
    await has_begun.wait()
    return task


async def test_a_lost_action_is_an_error_and_is_not_repeated(app: App) -> None:
    task = await start_endless(app)
    (worker,) = [worker for worker in app.pool._supply.workers() if worker.is_busy]
    os.kill(worker.process.pid, signal.SIGKILL)
    with pytest.raises(FenchelError, match="The worker that ran this action died"):
        await task


async def test_a_cancelled_action_ends_in_its_worker(app: App) -> None:
    task = await start_endless(app)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert app.pool.statistics().running_actions == 0
    assert not any(worker.is_busy for worker in app.pool._supply.workers())
    assert isinstance((await app.action("messages:greet", {"name": "x"})).result, FunctionResult)


async def test_an_action_that_computes_does_not_hold_up_later_ones() -> None:
    settings = Settings(isolate=IsolateSettings(worker_count=1))
    async with running_app(Runtime(settings=settings)) as app:
        endless = await start_endless(app, "hostile:computeForever")
        while not any(worker.is_stalled for worker in app.pool._supply.workers()):
            await app.query("messages:list")
        greeting = await app.action("messages:greet", {"name": "x"})
        assert isinstance(greeting.result, FunctionResult)
        endless.cancel()
        await asyncio.gather(endless, return_exceptions=True)
        while any(worker.is_stalled for worker in app.pool._supply.workers()):
            await app.query("messages:list")
        greeting = await app.action("messages:greet", {"name": "y"})
        assert isinstance(greeting.result, FunctionResult)


async def test_an_action_known_for_long_turns_does_not_hold_up_those_that_have_begun() -> None:
    """It gets a worker apart, although there was but one."""
    settings = Settings(isolate=IsolateSettings(worker_count=1))
    async with running_app(Runtime(settings=settings)) as app:
        first_run = await start_endless(app, "hostile:computeForever")
        while not app.pool._long_actions._found:
            await app.query("messages:list")
        first_run.cancel()
        await asyncio.gather(first_run, return_exceptions=True)
        while any(worker.is_stalled for worker in app.pool._supply.workers()):
            await app.query("messages:list")
        begun = await start_endless(app, "hostile:waitForMessage")
        endless = await start_endless(app, "hostile:computeForever")
        while not any(worker.is_stalled for worker in app.pool._supply.workers()):
            await app.query("messages:list")
        await app.mutation("messages:send", {"author": "ada", "body": "go"})
        assert value_of(await begun) == 1
        endless.cancel()
        await asyncio.gather(endless, return_exceptions=True)
