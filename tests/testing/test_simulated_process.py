"""What a crash leaves: nothing of the process, and callers who know nothing."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.testing import ProcessCrashed, SimulatedProcess, run_virtual


async def forever() -> None:
    await asyncio.Event().wait()


def test_a_call_gives_its_result_or_its_error() -> None:
    async def double(number: int) -> int:
        return 2 * number

    async def main() -> None:
        process = SimulatedProcess()
        assert await process.call(double(4)) == 8
        with pytest.raises(TypeError):
            await process.call(double(None))  # type: ignore[arg-type]

    run_virtual(main())


def test_a_crash_ends_the_tasks_of_the_process_and_no_others() -> None:
    async def main() -> None:
        process = SimulatedProcess()
        started: list[asyncio.Task[None]] = []

        async def work() -> None:
            started.append(asyncio.create_task(forever(), name="background"))

        await process.call(work())
        outside = asyncio.create_task(forever(), name="outside")
        caller = asyncio.create_task(process.call(forever()), name="caller")
        await asyncio.sleep(0)
        process.crash()
        await process.wait_ended()
        assert started[0].cancelled()
        assert not outside.done()
        with pytest.raises(ProcessCrashed):
            await caller
        with pytest.raises(ProcessCrashed):
            await process.call(forever())
        outside.cancel()

    run_virtual(main())


def test_a_crash_from_inside_ends_at_that_line() -> None:
    async def main() -> None:
        process = SimulatedProcess()
        reached = []

        async def work() -> None:
            reached.append("before")
            await process.crash_here()
            reached.append("after")

        with pytest.raises(ProcessCrashed):
            await process.call(work())
        await process.wait_ended()
        assert reached == ["before"]

    run_virtual(main())


def test_a_task_of_the_dead_dies_at_once() -> None:
    async def main() -> None:
        process = SimulatedProcess()
        late: list[asyncio.Task[None]] = []

        async def work() -> None:
            try:
                await forever()
            finally:
                late.append(asyncio.create_task(forever(), name="late"))

        caller = asyncio.create_task(process.call(work()), name="caller")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        process.crash()
        await process.wait_ended()
        assert late[0].cancelled()
        with pytest.raises(ProcessCrashed):
            await caller

    run_virtual(main())


def test_a_caller_who_goes_away_takes_the_call_along() -> None:
    async def main() -> None:
        process = SimulatedProcess()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await process.call(forever())
        process.crash()
        await process.wait_ended()

    run_virtual(main())
