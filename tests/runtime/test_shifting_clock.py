"""A clock that can be put forward wakes those whose time has come."""

from __future__ import annotations

import asyncio

from fenchel.runtime import ShiftingClock
from fenchel.testing import VirtualClock, run_virtual

HOUR_NS = 3_600 * 10**9


def test_it_goes_on_like_its_base_and_jumps_forward_only() -> None:
    async def main() -> None:
        base = VirtualClock()
        clock = ShiftingClock(base)
        assert clock.now_ns() == base.now_ns()
        clock.advance_to(base.now_ns() + HOUR_NS)
        assert clock.now_ns() == base.now_ns() + HOUR_NS
        assert clock.monotonic() == base.monotonic() + 3_600
        clock.advance_to(base.now_ns())
        assert clock.now_ns() == base.now_ns() + HOUR_NS
        await VirtualClock().sleep(1)
        assert clock.now_ns() == base.now_ns() + HOUR_NS

    run_virtual(main())


def test_a_jump_wakes_those_who_are_due_and_nobody_else() -> None:
    async def main() -> list[float]:
        clock, woken = ShiftingClock(VirtualClock()), []

        async def sleeper(seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(seconds)

        async with asyncio.TaskGroup() as group:
            for seconds in (30, 3_000, 7_200):
                group.create_task(sleeper(seconds))
            await VirtualClock().sleep(1)
            clock.advance_to(clock.now_ns() + HOUR_NS)
            await VirtualClock().sleep(1)
            assert woken == [30, 3_000]
            assert asyncio.get_running_loop().time() == 2
        # The last one waited for the rest of its time.
        assert abs(asyncio.get_running_loop().time() - 3_601) < 2
        return woken

    assert run_virtual(main()) == [30, 3_000, 7_200]


def test_a_jump_before_a_sleep_first_runs_shortens_it_too() -> None:
    async def main() -> float:
        clock = ShiftingClock(VirtualClock())
        sleep = clock.sleep(90)
        clock.advance_to(clock.now_ns() + HOUR_NS)
        await sleep
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) < 90


def test_without_a_jump_sleeping_takes_its_time() -> None:
    async def main() -> float:
        clock = ShiftingClock(VirtualClock())
        await clock.sleep(0)
        await clock.sleep(90)
        return clock.monotonic()

    assert run_virtual(main()) >= 90
