"""Scheduled functions: when they run, how often, and what becomes of them (execution 6.1)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fenchel.database import Transaction
from fenchel.definitions import FunctionPath
from fenchel.errors import internal_error
from fenchel.model import ScheduledJob, get_job, list_unfinished
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.values import Value, encode_json
from tests.application.fakes import (
    START_NS,
    Backend,
    Ctx,
    FakeFunctionRunner,
    SteppedClock,
    UserCodeError,
    call,
    running_backend,
)


def functions() -> FakeFunctionRunner:
    runner = FakeFunctionRunner()

    @runner.mutation
    async def send(ctx: Ctx, args: dict[str, Any]) -> Value:
        return await ctx.tx.user().insert("sent", {"text": args["text"]})

    @runner.mutation
    async def send_later(ctx: Ctx, args: dict[str, Any]) -> Value:
        due = ctx.request.unix_ms / 1_000 + args["delay"]
        return await ctx.schedule(args["name"], {"text": "later"}, due)

    @runner.mutation
    async def schedule_and_fail(ctx: Ctx, args: dict[str, Any]) -> Value:
        await ctx.schedule("send", {"text": "never"}, ctx.request.unix_ms / 1_000)
        raise UserCodeError("rolled back")

    @runner.mutation
    async def broken(ctx: Ctx, args: dict[str, Any]) -> Value:
        await ctx.tx.user().insert("sent", {"text": "never"})
        raise UserCodeError("on purpose")

    @runner.mutation
    async def cancel(ctx: Ctx, args: dict[str, Any]) -> Value:
        await ctx.cancel(args["id"])
        return None

    @runner.action
    async def act(ctx: Ctx, args: dict[str, Any]) -> Value:
        return await ctx.run_mutation("send", {"text": f"by action {args['text']}"})

    @runner.query
    async def sent(ctx: Ctx, args: dict[str, Any]) -> Value:
        query = {
            "source": {"type": "FullTableScan", "tableName": "sent", "order": None},
            "operators": [],
        }
        stream = ctx.tx.user().open_stream(query)
        found: list[Value] = []
        while (document := await stream.next()) is not None:
            found.append(document.value["text"])
        return found

    @runner.query
    async def job(ctx: Ctx, args: dict[str, Any]) -> Value:
        document = await ctx.tx.user().get(args["id"], is_system=True)
        return None if document is None else document.value

    return runner


async def schedule(backend: Backend, name: str, *, delay: float = 0.0) -> str:
    id_text = await backend.mutate("send_later", {"name": name, "delay": delay})
    assert isinstance(id_text, str)
    return id_text


async def load_job(tx: Transaction, id_text: str) -> ScheduledJob:
    job = await get_job(tx, id_text)
    assert job is not None
    return job


async def wait_for_state(backend: Backend, id_text: str, state: str) -> ScheduledJob:
    async def has_state(tx: Transaction) -> bool:
        return (await load_job(tx, id_text)).row.state.type == state

    await backend.wait_until(has_state)
    return await load_job(backend.database.begin(), id_text)


async def test_a_due_mutation_runs_once_and_succeeds() -> None:
    async with running_backend(functions(), is_started=True) as backend:
        id_text = await schedule(backend, "send")
        await wait_for_state(backend, id_text, "success")
        assert await backend.query("sent") == ["later"]
        assert backend.runner.runs["send"] == 1


async def test_a_job_waits_for_its_time() -> None:
    clock = SteppedClock()
    runtime = Runtime(clock=clock)
    async with running_backend(functions(), runtime=runtime, is_started=True) as backend:
        id_text = await schedule(backend, "send", delay=3_600)
        clock.advance(3_599)
        assert (await load_job(backend.database.begin(), id_text)).row.state.type == "pending"
        clock.advance(2)
        await wait_for_state(backend, id_text, "success")


async def test_jobs_of_a_failed_mutation_do_not_exist() -> None:
    async with running_backend(functions()) as backend:
        run = await backend.application.run_mutation(call("schedule_and_fail"))
        assert not run.result.is_success
        assert await list_unfinished(backend.database.begin(), limit=None) == []


async def test_functions_see_the_job_as_a_document() -> None:
    clock = SteppedClock()
    runtime = Runtime(clock=clock)
    async with running_backend(functions(), runtime=runtime) as backend:
        id_text = await schedule(backend, "send", delay=60)
        job = await backend.query("job", {"id": id_text})
        assert isinstance(job, dict)
        assert job["name"] == "app.js:send"
        assert job["args"] == [{"text": "later"}]
        assert job["state"] == {"kind": "pending"}
        assert job["scheduledTime"] == START_NS / 1e6 + 60_000


async def test_a_failing_mutation_is_failed_with_its_message() -> None:
    async with running_backend(functions(), is_started=True) as backend:
        job = await wait_for_state(backend, await schedule(backend, "broken"), "failed")
        assert job.row.state.error == "Uncaught Error: on purpose"
        assert await backend.query("sent") == []
        assert backend.runner.runs["broken"] == 1


async def test_a_query_cannot_be_scheduled_successfully() -> None:
    async with running_backend(functions(), is_started=True) as backend:
        job = await wait_for_state(backend, await schedule(backend, "sent"), "failed")
        assert "Unsupported function type" in str(job.row.state.error)


async def test_an_action_runs_and_its_callbacks_commit() -> None:
    async with running_backend(functions(), is_started=True) as backend:
        await wait_for_state(backend, await schedule(backend, "act"), "success")
        assert await backend.query("sent") == ["by action later"]


async def test_an_action_that_the_system_lost_is_failed_and_not_repeated() -> None:
    runner = functions()

    @runner.action
    async def lost(ctx: Ctx, args: dict[str, Any]) -> Value:
        raise internal_error("worker died")

    async with running_backend(runner, is_started=True) as backend:
        job = await wait_for_state(backend, await schedule(backend, "lost"), "failed")
        assert job.row.state.error == "Transient error while executing action"
        assert runner.runs["lost"] == 1


async def test_a_mutation_that_the_system_lost_is_tried_again() -> None:
    runner = functions()
    has_failed = asyncio.Event()

    @runner.mutation
    async def flaky(ctx: Ctx, args: dict[str, Any]) -> Value:
        if not has_failed.is_set():
            has_failed.set()
            raise internal_error("worker died")
        return await ctx.tx.user().insert("sent", {"text": "second try"})

    async with running_backend(runner, is_started=True) as backend:
        job = await wait_for_state(backend, await schedule(backend, "flaky"), "success")
        assert job.row.attempts.system_errors == 1
        assert await backend.query("sent") == ["second try"]


async def test_a_canceled_job_does_not_run() -> None:
    clock = SteppedClock()
    runtime = Runtime(clock=clock)
    async with running_backend(functions(), runtime=runtime, is_started=True) as backend:
        first = await schedule(backend, "send", delay=60)
        second = await schedule(backend, "send", delay=61)
        await backend.mutate("cancel", {"id": first})
        await backend.mutate("cancel", {"id": first})
        clock.advance(62)
        await wait_for_state(backend, second, "success")
        assert (await load_job(backend.database.begin(), first)).row.state.type == "canceled"
        assert backend.runner.runs["send"] == 1


async def test_more_jobs_than_slots_all_run() -> None:
    async with running_backend(functions(), is_started=True) as backend:
        ids = [await schedule(backend, "send") for _ in range(30)]
        for id_text in ids:
            await wait_for_state(backend, id_text, "success")
        assert await backend.query("sent") == ["later"] * 30


async def test_a_job_that_is_canceled_while_it_waits_for_a_slot_does_not_run() -> None:
    runner = functions()
    go, held = asyncio.Event(), asyncio.Semaphore(0)

    @runner.mutation
    async def hold(ctx: Ctx, args: dict[str, Any]) -> Value:
        held.release()
        await go.wait()
        return None

    async with running_backend(runner) as backend:
        slots = backend.runtime.settings.application.scheduler_parallelism
        holding = [await schedule(backend, "hold") for _ in range(slots)]
        waiting = [await schedule(backend, "send") for _ in range(3)]
        await backend.application.start()
        for _ in range(slots):
            await held.acquire()
        for id_text in waiting[:2]:
            await backend.mutate("cancel", {"id": id_text})
        go.set()
        for id_text in (*holding, waiting[2]):
            await wait_for_state(backend, id_text, "success")
        assert backend.runner.runs["send"] == 1


async def test_pending_jobs_survive_a_restart() -> None:
    persistence = MemoryPersistence()
    async with running_backend(functions(), persistence=persistence) as backend:
        id_text = await schedule(backend, "send")
    async with running_backend(functions(), persistence=persistence, is_started=True) as backend:
        await wait_for_state(backend, id_text, "success")


async def _all_finished(tx: Transaction) -> bool:
    return not await list_unfinished(tx, limit=1)


async def test_after_a_downtime_jobs_run_in_their_order_and_never_all_at_once() -> None:
    persistence = MemoryPersistence()
    clock = SteppedClock()
    runtime = Runtime(clock=clock)
    runner = functions()
    started: list[str] = []
    running = peak = 0

    @runner.mutation
    async def numbered(ctx: Ctx, args: dict[str, Any]) -> Value:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        started.append(args["text"])
        await asyncio.sleep(0)
        running -= 1
        return None

    @runner.mutation
    async def plan(ctx: Ctx, args: dict[str, Any]) -> Value:
        path = FunctionPath("", "app.js", "numbered")
        assert ctx.host is not None
        for number in reversed(range(40)):
            due = ctx.request.unix_ms / 1_000 + 60 + number
            text = encode_json([{"text": f"{number:02}"}])
            await ctx.host.schedule(ctx.request, ctx.tx, path, text, due)
        return None

    async with running_backend(runner, runtime=runtime, persistence=persistence) as backend:
        await backend.mutate("plan")
    clock.advance(86_400)
    async with running_backend(
        runner, runtime=runtime, persistence=persistence, is_started=True
    ) as backend:
        await backend.wait_until(_all_finished)
    assert started == [f"{number:02}" for number in range(40)]
    assert peak <= runtime.settings.application.scheduler_parallelism


async def test_an_action_in_progress_at_a_crash_is_failed_at_the_next_start() -> None:
    persistence = MemoryPersistence()
    runner = functions()
    entered = asyncio.Event()

    @runner.action
    async def endless(ctx: Ctx, args: dict[str, Any]) -> Value:
        entered.set()
        await asyncio.Event().wait()
        return None

    async with running_backend(runner, persistence=persistence, is_started=True) as backend:
        id_text = await schedule(backend, "endless")
        await entered.wait()
        assert (await load_job(backend.database.begin(), id_text)).row.state.type == "inProgress"
    async with running_backend(functions(), persistence=persistence, is_started=True) as backend:
        job = await load_job(backend.database.begin(), id_text)
        assert job.row.state.type == "failed"
        assert job.row.state.error == "Transient error while executing action"


class TestScheduling:
    """What is refused when a function is scheduled."""

    @pytest.mark.parametrize(
        ("name", "delay", "message"),
        [
            ("send", 6 * 366 * 86_400.0, "more than 5 years in the future"),
            ("send", -6 * 366 * 86_400.0, "more than 5 years in the past"),
            ("send", float("nan"), "must be finite"),
            ("nothing", 0.0, "no exported function nothing found in the file: app.js"),
        ],
    )
    async def test_refusals(self, name: str, delay: float, message: str) -> None:
        async with running_backend(functions()) as backend:
            run = await backend.application.run_mutation(
                call("send_later", {"name": name, "delay": delay})
            )
            assert message in run.result.error_message

    async def test_a_thousand_jobs_are_enough(self) -> None:
        runner = functions()

        @runner.mutation
        async def many(ctx: Ctx, args: dict[str, Any]) -> Value:
            for _ in range(1_001):
                await ctx.schedule("send", {"text": "x"}, ctx.request.unix_ms / 1_000)
            return None

        async with running_backend(runner) as backend:
            run = await backend.application.run_mutation(call("many"))
            assert "Too many functions scheduled by this mutation (limit: 1000)" in (
                run.result.error_message
            )

    async def test_a_mutation_cannot_cancel_itself(self) -> None:
        runner = functions()

        @runner.mutation
        async def suicide(ctx: Ctx, args: dict[str, Any]) -> Value:
            assert ctx.request.context.parent_scheduled_job is not None
            await ctx.cancel(ctx.request.context.parent_scheduled_job)
            return None

        async with running_backend(runner, is_started=True) as backend:
            job = await wait_for_state(backend, await schedule(backend, "suicide"), "failed")
            assert job.row.state.error == "Uncaught Error: A mutation cannot cancel itself"

    async def test_what_a_canceled_action_schedules_is_born_canceled(self) -> None:
        runner = functions()
        scheduled: asyncio.Queue[str] = asyncio.Queue()

        @runner.action
        async def persistent(ctx: Ctx, args: dict[str, Any]) -> Value:
            parent = ctx.request.context.parent_scheduled_job
            assert parent is not None
            await ctx.cancel(parent)
            now = ctx.request.unix_ms / 1_000
            scheduled.put_nowait(await ctx.schedule("send", {"text": "x"}, now))
            return None

        async with running_backend(runner, is_started=True) as backend:
            parent = await schedule(backend, "persistent")
            await wait_for_state(backend, parent, "canceled")

            await wait_for_state(backend, await scheduled.get(), "canceled")

    async def test_ids_of_other_tables_cannot_be_canceled(self) -> None:
        async with running_backend(functions()) as backend:
            run = await backend.application.run_mutation(call("cancel", {"id": "nonsense"}))
            assert "is not the id of a scheduled function" in run.result.error_message
