"""One timer for many deadlines."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.runtime import Deadlines

SHORT = 0.01


async def never() -> None:
    await asyncio.Event().wait()


async def wait_until(deadlines: Deadlines) -> str:
    try:
        with deadlines.start() as deadline:
            await never()
    except TimeoutError:
        return "timeout" if deadline.has_expired else "another one's timeout"
    return "end"


async def test_each_block_ends_when_its_time_is_over() -> None:
    deadlines = Deadlines(SHORT)
    assert await asyncio.gather(*(wait_until(deadlines) for _ in range(3))) == ["timeout"] * 3
    # The timer stopped, and starts again.
    assert await wait_until(deadlines) == "timeout"


async def test_a_block_that_ended_in_time_is_left_alone() -> None:
    deadlines = Deadlines(SHORT)
    with deadlines.start() as deadline:
        await asyncio.sleep(0)
    assert await wait_until(deadlines) == "timeout"
    assert not deadline.has_expired


async def test_errors_and_timeouts_of_others_pass() -> None:
    deadlines = Deadlines(60.0)
    with pytest.raises(KeyError), deadlines.start():
        raise KeyError
    with pytest.raises(TimeoutError), deadlines.start() as deadline:
        await wait_for_inner()
    assert not deadline.has_expired


async def wait_for_inner() -> None:
    async with asyncio.timeout(0):
        await never()


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    deadlines = Deadlines(SHORT)
    task = asyncio.create_task(wait_until(deadlines), name="waits")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_deadlines_within_each_other_are_told_apart() -> None:
    outer, inner = Deadlines(60.0), Deadlines(SHORT)
    with outer.start() as deadline:
        assert await wait_until(inner) == "timeout"
    assert not deadline.has_expired
    with pytest.raises(TimeoutError), inner.start(), outer.start():
        await never()


async def test_an_extended_deadline_falls_due_after_later_ones() -> None:
    deadlines = Deadlines(SHORT)
    ended: list[str] = []

    async def wait(name: str, *, is_extended: bool) -> None:
        try:
            with deadlines.start() as deadline:
                await asyncio.sleep(0)
                if is_extended:
                    deadline.extend()
                await never()
        except TimeoutError:
            ended.append(name)

    await asyncio.gather(wait("extended", is_extended=True), wait("plain", is_extended=False))
    assert ended == ["plain", "extended"]
