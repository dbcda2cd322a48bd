"""Test mode's clock: what falls due runs, at its own time, before the call comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fenchel.application import ClockAdvancer
from fenchel.definitions import AnalyzedCron, CronSpec
from fenchel.errors import FenchelError
from fenchel.model import replace_crons
from fenchel.runtime import Runtime, ShiftingClock
from fenchel.values import Value
from tests.application.fakes import Backend, Ctx, FakeFunctionRunner, running_backend

MINUTE_MS = 60_000


class Suite:
    """A running backend whose functions note their times, in whole minutes since the start: what
    the test itself takes is much less."""

    def __init__(self, backend: Backend, clock: ShiftingClock, noted: list[int]) -> None:
        self.backend = backend
        self.clock = clock
        self.noted = noted

    def advancer(self, **limits: Any) -> ClockAdvancer:
        return ClockAdvancer(
            database=self.backend.database,
            clock=self.clock,
            next_due=self.backend.application.next_due_ns,
            **limits,
        )


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    clock = ShiftingClock()
    start_ns = clock.now_ns()
    runner, noted = FakeFunctionRunner(), []

    @runner.mutation
    async def note(ctx: Ctx, args: dict[str, Any]) -> Value:
        noted.append(round((clock.now_ns() - start_ns) / 60e9))
        return None

    @runner.mutation
    async def chain(ctx: Ctx, args: dict[str, Any]) -> Value:
        noted.append(round((clock.now_ns() - start_ns) / 60e9))
        if args["left"] > 0:
            due = ctx.request.unix_ms / 1_000 + args["delay"]
            await ctx.schedule("chain", {**args, "left": args["left"] - 1}, due)
        return None

    runtime = Runtime(clock=clock)
    async with running_backend(runner, runtime=runtime, is_started=True) as backend:
        yield Suite(backend, clock, noted)


async def test_it_returns_the_new_time(suite: Suite) -> None:
    before = suite.clock.now_ns() // 1_000_000
    after = await suite.advancer().advance(MINUTE_MS)
    assert MINUTE_MS <= after - before < MINUTE_MS + 60_000
    assert abs(after - suite.clock.now_ns() // 1_000_000) < 60_000


async def test_jobs_that_schedule_further_ones_run_each_at_its_time(suite: Suite) -> None:
    await suite.backend.mutate("chain", {"left": 3.0, "delay": 60.0})
    await suite.advancer().advance(150_000)
    assert suite.noted == [0, 1, 2]
    await suite.advancer().advance(MINUTE_MS)
    assert suite.noted == [0, 1, 2, 3]


async def test_every_run_of_a_cron_happens(suite: Suite) -> None:
    spec = CronSpec(
        udf_path="app.js:note",
        udf_args=list(b"[{}]"),
        cron_schedule={"type": "interval", "seconds": 60},
    )
    tx = suite.backend.database.begin()
    crons = [AnalyzedCron(identifier="note", spec=spec)]
    await replace_crons(tx, crons, now_ns=suite.clock.now_ns())
    await suite.backend.database.commit(tx)
    await suite.advancer().advance(3 * MINUTE_MS)
    assert suite.noted == [0, 1, 2, 3]


async def test_a_function_without_end_is_an_error_that_says_so(suite: Suite) -> None:
    await suite.backend.mutate("chain", {"left": 1e9, "delay": 0.0})
    with pytest.raises(FenchelError, match=r"After 20 changes .* schedule itself") as caught:
        await suite.advancer(settle_changes_max=20).advance(MINUTE_MS)
    assert caught.value.code == "ClockNotSettled"
    with pytest.raises(FenchelError, match=r"After 0.2 s"):
        await suite.advancer(settle_seconds_max=0.2).advance(MINUTE_MS)


@pytest.mark.parametrize("milliseconds", [-1, 10**16])
async def test_times_that_make_no_sense(suite: Suite, milliseconds: int) -> None:
    with pytest.raises(FenchelError, match="before the year 2191"):
        await suite.advancer().advance(milliseconds)
