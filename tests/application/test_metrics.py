"""Each measure moves for its reason, and for no other (execution 7.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fenchel.application.metrics import ApplicationMetrics, DueMetrics
from fenchel.errors import ConflictError, FenchelError, internal_error
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import ApplicationSettings
from fenchel.values import Value
from tests.application.fakes import (
    START_NS,
    Backend,
    Ctx,
    SteppedClock,
    call,
    running_backend,
)
from tests.application.test_cron_executor import functions as cron_functions
from tests.application.test_cron_executor import push, wait_for_logs
from tests.application.test_due_loop import SECOND_NS, SLOTS, Row, World, looping
from tests.application.test_job_executor import functions as job_functions
from tests.application.test_job_executor import schedule, wait_for_state
from tests.application.test_mutation_runner import HastyClock, functions, read_counter


def read(metrics: ApplicationMetrics, name: str, **labels: str) -> float | None:
    """None for what never moved."""
    return metrics.registry.get_sample_value(f"fenchel_{name}", labels)


async def wait_until(is_so: Callable[[], bool]) -> None:
    """What is counted after a commit may come later than the commit is seen."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - the measures have no event
            await asyncio.sleep(0)


def results(metrics: ApplicationMetrics, kind: str) -> dict[tuple[str, str], float]:
    """Ends by status and lost attempts."""
    (family,) = (f for f in metrics.registry.collect() if f.name == f"fenchel_{kind}_results")
    return {
        (sample.labels["status"], sample.labels["attempts"]): sample.value
        for sample in family.samples
    }


def mutations(backend: Backend) -> dict[str, float]:
    """How many ended in which way."""
    metrics = backend.application.metrics
    ways = ("success", "error", "conflict", "system_error", "cancelled")
    counts = {way: read(metrics, "mutation_seconds_count", status=way) for way in ways}
    return {way: count for way, count in counts.items() if count}


def conflicts(backend: Backend, will_retry: str) -> float | None:
    return read(
        backend.application.metrics,
        "mutation_occ_conflicts_total",
        component="",
        function="app:rivalled",
        table="counters",
        will_retry=will_retry,
    )


class TestMutations:
    async def test_each_end_has_its_status(self) -> None:
        async with running_backend(functions(), runtime=Runtime(clock=HastyClock())) as backend:
            await backend.mutate("increment")
            assert mutations(backend) == {"success": 1}
            await backend.application.run_mutation(call("broken"))
            assert mutations(backend) == {"success": 1, "error": 1}

            @backend.runner.mutation
            async def lost(ctx: Ctx, args: dict[str, Any]) -> Value:
                raise internal_error("worker died")

            with pytest.raises(FenchelError):
                await backend.application.run_mutation(call("lost"))
            assert mutations(backend) == {"success": 1, "error": 1, "system_error": 1}

    async def test_queries_are_no_mutations(self) -> None:
        async with running_backend(functions()) as backend:
            await backend.query("get")
            assert mutations(backend) == {}

    async def test_conflicts_count_by_function_and_table_until_the_last(self) -> None:
        """A rival wins as often as it is told to."""
        wins = 1
        async with running_backend(functions(), runtime=Runtime(clock=HastyClock())) as backend:

            @backend.runner.mutation
            async def rivalled(ctx: Ctx, args: dict[str, Any]) -> Value:
                nonlocal wins
                id_text, value = await read_counter(ctx)
                assert id_text is not None
                if wins > 0 and ctx.tx.reservation is None:
                    wins -= 1
                    await backend.mutate("increment")
                await ctx.tx.user().patch(id_text, {"value": value + 100})
                return None

            await backend.mutate("increment")
            await backend.mutate("rivalled")
            assert (conflicts(backend, "true"), conflicts(backend, "false")) == (1, None)
            assert mutations(backend) == {"success": 3}

    async def test_retries_that_are_used_up_are_a_conflict(self) -> None:
        impatient = Settings(application=ApplicationSettings(occ_retries_max=0))
        runtime = Runtime(clock=HastyClock(), settings=impatient)
        async with running_backend(functions(), runtime=runtime) as backend:

            @backend.runner.mutation
            async def rivalled(ctx: Ctx, args: dict[str, Any]) -> Value:
                id_text, value = await read_counter(ctx)
                assert id_text is not None
                await backend.mutate("increment")
                await ctx.tx.user().patch(id_text, {"value": value + 100})
                return None

            await backend.mutate("increment")
            with pytest.raises(ConflictError):
                await backend.application.run_mutation(call("rivalled"))
            assert (conflicts(backend, "true"), conflicts(backend, "false")) == (None, 1)
            assert mutations(backend) == {"success": 2, "conflict": 1}


class TestJobs:
    async def test_lag_is_from_when_a_job_was_due(self) -> None:
        clock = SteppedClock()
        async with running_backend(
            job_functions(), runtime=Runtime(clock=clock), is_started=True
        ) as backend:
            id_text = await schedule(backend, "send", delay=60)
            clock.advance(63)
            await wait_for_state(backend, id_text, "success")
            metrics = backend.application.metrics
            assert read(metrics, "scheduled_job_lag_seconds_count") == 1
            assert read(metrics, "scheduled_job_lag_seconds_sum") == 3.0
            assert read(metrics, "cron_job_lag_seconds_count") is None

    @pytest.mark.parametrize(
        ("name", "status"),
        [("send", "success"), ("act", "success"), ("broken", "failed"), ("sent", "failed")],
    )
    async def test_each_end_has_its_status(self, name: str, status: str) -> None:
        async with running_backend(job_functions(), is_started=True) as backend:
            await wait_for_state(backend, await schedule(backend, name), status)
            metrics = backend.application.metrics
            await wait_until(lambda: bool(results(metrics, "scheduled_job")))
            assert results(metrics, "scheduled_job") == {(status, "0"): 1}

    async def test_what_the_system_lost_counts_as_an_attempt(self) -> None:
        runner = job_functions()

        @runner.mutation
        async def flaky(ctx: Ctx, args: dict[str, Any]) -> Value:
            if runner.runs["flaky"] == 1:
                raise internal_error("worker died")
            return None

        runtime = Runtime(clock=HastyClock())
        async with running_backend(runner, runtime=runtime, is_started=True) as backend:
            await wait_for_state(backend, await schedule(backend, "flaky"), "success")
            metrics = backend.application.metrics
            await wait_until(lambda: len(results(metrics, "scheduled_job")) == 2)
            assert results(metrics, "scheduled_job") == {
                ("system_error", "0"): 1,
                ("success", "1"): 1,
            }

    async def test_who_runs_and_who_waits_is_seen(self) -> None:
        world = World()
        world.rows = [Row(n, START_NS - 5 * SECOND_NS) for n in range(SLOTS + 2)]
        metrics = ApplicationMetrics()
        seen: list[tuple[float | None, ...]] = []
        run_row = world.run_row

        async def look(row: Row) -> None:
            names = ("running", "backlog", "backlog_seconds")
            seen.append(tuple(read(metrics, f"scheduled_job_{name}") for name in names))
            await run_row(row)

        world.run_row = look  # type: ignore[method-assign]
        async with looping(world, metrics):
            await world.wait_until_ran(SLOTS + 2)
            await wait_until(lambda: read(metrics, "scheduled_job_running") == 0)
            assert read(metrics, "scheduled_job_backlog") == 0
            assert read(metrics, "scheduled_job_backlog_seconds") == 0
        # A look reads one row more than there are slots.
        assert seen[0] == (SLOTS, 1, 5.0)


class TestCrons:
    async def test_runs_and_those_that_were_skipped(self) -> None:
        clock = SteppedClock()
        runtime = Runtime(clock=clock)
        async with running_backend(cron_functions(), runtime=runtime, is_started=True) as backend:
            await push(backend, "tick")
            await wait_for_logs(backend, 1)
            metrics = backend.application.metrics
            await wait_until(lambda: results(metrics, "cron_job") == {("success", "0"): 1})
            assert read(metrics, "cron_job_skipped_total") is None
            clock.advance(4 * 60)
            await wait_for_logs(backend, 3)
            await wait_until(lambda: results(metrics, "cron_job") == {("success", "0"): 2})
            await wait_until(lambda: read(metrics, "cron_job_skipped_total") == 2)
            assert read(metrics, "cron_job_lag_seconds_sum") == 180.0
            assert read(metrics, "scheduled_job_lag_seconds_count") is None

    async def test_a_cron_that_throws_has_failed(self) -> None:
        clock = SteppedClock()
        runtime = Runtime(clock=clock)
        async with running_backend(cron_functions(), runtime=runtime, is_started=True) as backend:
            await push(backend, "broken")
            await wait_for_logs(backend, 1)
            metrics = backend.application.metrics
            await wait_until(lambda: bool(results(metrics, "cron_job")))
            assert results(metrics, "cron_job") == {("failed", "0"): 1}


def test_attempts_without_end_share_a_label() -> None:
    metrics = ApplicationMetrics()
    jobs: DueMetrics = metrics.jobs
    for attempts in (9, 10, 5_000):
        jobs.record_result("success", attempts)
    name = "scheduled_job_results_total"
    assert read(metrics, name, status="success", attempts="9") == 1
    assert read(metrics, name, status="success", attempts="10+") == 2
