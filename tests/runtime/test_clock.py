"""The operating system's clock behind the protocol."""

import asyncio

import pytest

from fenchel.runtime import SystemClock

SECONDS_2020 = 1_577_836_800


def test_wall_time_is_in_nanoseconds():
    assert SystemClock().now_ns() > SECONDS_2020 * 1_000_000_000


def test_monotonic_time_does_not_go_back():
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_no_time_to_wait_still_lets_others_run(seconds):
    ran = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_set(ran))
        await SystemClock().sleep(seconds)
        await SystemClock().sleep(seconds)
        assert ran.is_set()


async def test_waiting_takes_its_time():
    clock = SystemClock()
    start = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - start >= 0.009


async def _set(event):
    event.set()
