"""Loops that fail run again, and the log says why."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from fenchel.application.background_loops import supervise
from fenchel.errors import internal_error, overloaded
from fenchel.runtime import Runtime
from fenchel.testing import VirtualClock, run_virtual


@pytest.mark.parametrize(
    ("error", "has_stack"),
    [
        (overloaded("DatabaseUnreachable", "Try again."), False),
        (internal_error("a row is missing"), True),
        (KeyError("k"), True),
    ],
    ids=["foreseen", "internal", "unforeseen"],
)
async def test_a_loop_runs_again_and_only_surprises_show_a_stack(
    error: Exception, has_stack: bool, caplog: pytest.LogCaptureFixture
) -> None:
    runs = 0
    has_run_again = asyncio.Event()

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise error
        has_run_again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(supervise(Runtime(), "due", loop))
    await has_run_again.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    [record] = caplog.records
    assert "loop=due" in record.getMessage()
    assert bool(record.exc_info) is has_stack


@pytest.mark.parametrize(("healthy_seconds", "is_late"), [(0.0, True), (60.0, False)])
def test_a_loop_that_ran_for_long_is_back_soon(healthy_seconds: float, is_late: bool) -> None:
    async def main() -> float:
        clock = VirtualClock()
        ends: list[float] = []

        async def loop() -> None:
            if len(ends) == 20:
                await asyncio.Event().wait()
            if ends:
                waited.append(clock.monotonic() - ends[-1])
            await clock.sleep(healthy_seconds)
            ends.append(clock.monotonic())
            raise KeyError("k")

        waited: list[float] = []
        task = asyncio.create_task(supervise(Runtime(clock=clock), "due", loop))
        await clock.sleep(10_000)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert len(ends) == 20
        return max(waited)

    assert (run_virtual(main()) > 0.5) is is_late
