"""Crons: when they run, how often, and what is logged about them (execution 6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fenchel.database import Transaction
from fenchel.definitions import AnalyzedCron, CronSpec
from fenchel.errors import internal_error
from fenchel.model import CronRunLog, list_cron_run_logs, list_cron_runs, replace_crons
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.values import Value
from tests.application.fakes import (
    START_NS,
    Backend,
    Ctx,
    FakeFunctionRunner,
    SteppedClock,
    UserCodeError,
    running_backend,
)

MINUTE_NS = 60 * 10**9


def functions() -> FakeFunctionRunner:
    runner = FakeFunctionRunner()

    @runner.mutation
    async def tick(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.log("ticked")
        return await ctx.tx.user().insert("ticks", {"text": "tick"})

    @runner.mutation
    async def broken(ctx: Ctx, args: dict[str, Any]) -> Value:
        raise UserCodeError("on purpose")

    @runner.action
    async def act(ctx: Ctx, args: dict[str, Any]) -> Value:
        await ctx.run_mutation("tick", {})
        return 1.0

    return runner


async def push(backend: Backend, function: str, *, seconds: int = 60) -> None:
    spec = CronSpec(
        udf_path=f"app.js:{function}",
        udf_args=list(b"[{}]"),
        cron_schedule={"type": "interval", "seconds": seconds},
    )
    await push_crons(backend, [AnalyzedCron(identifier="job", spec=spec)])


async def push_crons(backend: Backend, crons: Sequence[AnalyzedCron]) -> None:
    tx = backend.database.begin()
    await replace_crons(tx, crons, now_ns=backend.runtime.clock.now_ns())
    await backend.database.commit(tx)


async def wait_for_logs(backend: Backend, count: int) -> list[CronRunLog]:
    async def has_logs(tx: Transaction) -> bool:
        return len(await list_cron_run_logs(tx, "job")) >= count

    await backend.wait_until(has_logs)
    return await list_cron_run_logs(backend.database.begin(), "job")


async def test_an_interval_runs_at_once_and_again_when_due() -> None:
    clock = SteppedClock()
    runner = functions()
    async with running_backend(runner, runtime=Runtime(clock=clock), is_started=True) as backend:
        await push(backend, "tick")
        await wait_for_logs(backend, 1)
        clock.advance(59)
        assert runner.runs["tick"] == 1
        clock.advance(1)
        logs = await wait_for_logs(backend, 2)
    assert [log.ts for log in logs] == [START_NS, START_NS + MINUTE_NS]
    assert logs[0].status["type"] == "success"
    assert logs[0].log_lines == ["[LOG] 'ticked'"]
    assert runner.runs["tick"] == 2


async def test_a_failing_mutation_is_logged_and_goes_on() -> None:
    clock = SteppedClock()
    async with running_backend(
        functions(), runtime=Runtime(clock=clock), is_started=True
    ) as backend:
        await push(backend, "broken")
        await wait_for_logs(backend, 1)
        clock.advance(60)
        logs = await wait_for_logs(backend, 2)
    assert [log.status for log in logs] == [
        {"type": "err", "error": "Uncaught Error: on purpose"}
    ] * 2


async def test_an_action_runs_and_its_result_is_logged() -> None:
    clock = SteppedClock()
    async with running_backend(
        functions(), runtime=Runtime(clock=clock), is_started=True
    ) as backend:
        await push(backend, "act")
        (log,) = await wait_for_logs(backend, 1)
        assert log.status == {"type": "success", "result": "1.0"}
        assert backend.runner.runs["tick"] == 1


async def test_runs_of_one_cron_never_overlap() -> None:
    clock = SteppedClock()
    runner = functions()
    entered: asyncio.Queue[None] = asyncio.Queue()
    leave = asyncio.Event()

    @runner.action
    async def slow(ctx: Ctx, args: dict[str, Any]) -> Value:
        entered.put_nowait(None)
        await leave.wait()
        return None

    async with running_backend(runner, runtime=Runtime(clock=clock), is_started=True) as backend:
        await push(backend, "slow")
        await entered.get()
        clock.advance(150)
        # A commit wakes the loop: it must not start the cron a second time.
        await push(backend, "slow")
        assert runner.runs["slow"] == 1
        leave.set()
        logs = await wait_for_logs(backend, 2)
        assert [log.status["type"] for log in logs] == ["success", "canceled"]
        assert logs[1].status["num_canceled"] == 2
        (run,) = await list_cron_runs(backend.database.begin(), limit=None)
        assert run.due_ns == START_NS + 3 * MINUTE_NS


async def test_a_mutation_that_the_system_lost_is_tried_again() -> None:
    runner = functions()
    has_failed = asyncio.Event()

    @runner.mutation
    async def flaky(ctx: Ctx, args: dict[str, Any]) -> Value:
        if not has_failed.is_set():
            has_failed.set()
            raise internal_error("worker died")
        return 2.0

    async with running_backend(runner, is_started=True) as backend:
        await push(backend, "flaky", seconds=3_600)
        (log,) = await wait_for_logs(backend, 1)
    assert log.status == {"type": "success", "result": "2.0"}
    assert runner.runs["flaky"] == 2


async def test_an_action_in_progress_at_a_crash_is_not_run_again() -> None:
    persistence = MemoryPersistence()
    runner = functions()
    entered = asyncio.Event()

    @runner.action
    async def endless(ctx: Ctx, args: dict[str, Any]) -> Value:
        entered.set()
        await asyncio.Event().wait()
        return None

    async with running_backend(runner, persistence=persistence, is_started=True) as backend:
        await push(backend, "endless", seconds=3_600)
        await entered.wait()
    async with running_backend(runner, persistence=persistence, is_started=True) as backend:
        (log,) = await wait_for_logs(backend, 1)
        assert log.status == {"type": "err", "error": "Transient error while executing action"}
        (run,) = await list_cron_runs(backend.database.begin(), limit=None)
        assert run.is_pending
    assert runner.runs["endless"] == 1


async def test_a_deleted_cron_does_not_run_and_its_running_action_is_forgotten() -> None:
    runner = functions()
    entered = asyncio.Event()
    leave = asyncio.Event()
    left = asyncio.Event()

    @runner.action
    async def slow(ctx: Ctx, args: dict[str, Any]) -> Value:
        entered.set()
        await leave.wait()
        await ctx.run_mutation("tick", {})
        left.set()
        return None

    async with running_backend(runner, is_started=True) as backend:
        await push(backend, "slow", seconds=3_600)
        await entered.wait()
        await push_crons(backend, [])
        leave.set()
        await left.wait()
        tx = backend.database.begin()
        assert await list_cron_runs(tx, limit=None) == []
        assert await list_cron_run_logs(tx, "job") == []
