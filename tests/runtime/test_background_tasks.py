"""Tasks with an owner: what ends, what is waited for, what is cancelled, what is logged."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.errors import bad_request
from fenchel.runtime import BackgroundTasks


async def test_a_task_is_counted_until_it_ends() -> None:
    tasks = BackgroundTasks()
    gate = asyncio.Event()
    task = tasks.spawn("work", gate.wait())
    assert len(tasks) == 1
    gate.set()
    assert await task is True
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_closing_gives_the_running_ones_time() -> None:
    tasks = BackgroundTasks()
    gate = asyncio.Event()
    task = tasks.spawn("work", gate.wait())
    closing = asyncio.create_task(tasks.close(wait_seconds=30), name="closing")
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert task.result() is True


async def test_closing_waits_until_the_cancelled_ones_have_cleaned_up() -> None:
    tasks = BackgroundTasks()
    cleaned_up = False

    async def work() -> None:
        nonlocal cleaned_up
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned_up = True

    task = tasks.spawn("work", work())
    await asyncio.sleep(0)
    await tasks.close()
    assert task.cancelled()
    assert cleaned_up


async def test_only_the_unexpected_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(error: Exception) -> None:
        raise error

    tasks = BackgroundTasks()
    tasks.spawn("refused", fail(bad_request("NoSuchThing", "no")))
    tasks.spawn("broken", fail(ZeroDivisionError("bug")))
    await tasks.close(wait_seconds=30)
    assert [record.message for record in caplog.records] == ["background task failed task=broken"]
