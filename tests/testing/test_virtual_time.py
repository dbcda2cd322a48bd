"""Time jumps when everybody waits; order is reproducible."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.testing import VirtualClock, VirtualDeadlockError, run_virtual


def test_a_year_passes_at_once() -> None:
    async def main() -> float:
        clock = VirtualClock()
        await clock.sleep(365 * 86_400)
        return clock.monotonic()

    assert run_virtual(main()) == 365 * 86_400


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    async def main() -> list[float]:
        clock, woken = VirtualClock(), []

        async def sleeper(seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(clock.monotonic())

        await asyncio.gather(*(sleeper(seconds) for seconds in (3.0, 0.5, 2.0)))
        return woken

    assert run_virtual(main()) == [0.5, 2.0, 3.0]


def test_deadlines_run_on_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return VirtualClock().monotonic()

    assert run_virtual(main()) == 60.0


def test_waiting_for_nothing_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(VirtualDeadlockError):
        run_virtual(main())


def test_the_wall_clock_can_be_set_back() -> None:
    async def main() -> list[int]:
        clock = VirtualClock()
        before = clock.now_ns()
        await clock.sleep(1)
        elapsed = clock.now_ns() - before
        clock.skew_ns -= 5_000_000_000
        return [elapsed, clock.now_ns() - before]

    assert run_virtual(main()) == [1_000_000_000, -4_000_000_000]
