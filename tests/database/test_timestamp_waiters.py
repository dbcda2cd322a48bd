"""Waiting for a timestamp (database specification 8.4)."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.database.timestamp_waiters import TimestampWaiters
from fenchel.documents import Timestamp
from fenchel.errors import FenchelError, internal_error


async def test_the_earliest_are_woken_first() -> None:
    waiters = TimestampWaiters()
    tasks = {
        ts: asyncio.create_task(waiters.wait(Timestamp(ts)), name=str(ts)) for ts in (30, 10, 20)
    }
    await asyncio.sleep(0)
    waiters.advance(Timestamp(20))
    await asyncio.gather(tasks[10], tasks[20])
    assert not tasks[30].done()
    waiters.fail(internal_error("stopped"))
    with pytest.raises(FenchelError, match="stopped"):
        await tasks[30]


async def test_what_was_reached_is_not_waited_for() -> None:
    waiters = TimestampWaiters()
    waiters.advance(Timestamp(20))
    await waiters.wait(Timestamp(20))


async def test_a_waiter_may_leave() -> None:
    waiters = TimestampWaiters()
    task = asyncio.create_task(waiters.wait(Timestamp(10)), name="leaving")
    await asyncio.sleep(0)
    task.cancel()
    waiters.advance(Timestamp(10))
    with pytest.raises(asyncio.CancelledError):
        await task
