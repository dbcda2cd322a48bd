"""Waiting for the first of several things, on the runtime's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fenchel.database import Database, Token
from fenchel.runtime import Clock, Runtime


async def wait_for_event(event: asyncio.Event, clock: Clock, timeout_seconds: float) -> bool:
    """True if `event` was set within the time; the event is left as it is."""
    if event.is_set():
        return True
    return await _finish_first(event.wait(), clock.sleep(timeout_seconds))


async def wait_for_change(
    database: Database, token: Token, clock: Clock, timeout_seconds: float
) -> bool:
    """True if a commit touched what `token` read within the time."""
    changed = asyncio.Event()
    subscription = database.subscribe(token, lambda _: changed.set())
    try:
        if not subscription.is_valid:
            return True
        return await wait_for_event(changed, clock, timeout_seconds)
    finally:
        subscription.close()


def backoff_seconds(
    runtime: Runtime, attempt: int, *, initial_seconds: float, seconds_max: float
) -> float:
    """Exponential with full jitter; `attempt` counts from 0 (execution 4.6)."""
    ceiling = min(initial_seconds * 2.0 ** min(attempt, 30), seconds_max)
    return ceiling * runtime.randomness.uniform()


async def _finish_first(wanted: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any]) -> bool:
    """True if `wanted` ended before `other`; whichever is left is cancelled and awaited."""
    tasks = [
        asyncio.create_task(wanted, name="wait for a change"),
        asyncio.create_task(other, name="wait for a deadline"),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
