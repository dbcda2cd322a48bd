"""A process inside the test's process: all tasks that started from it die with it.

`call` enters it, `crash` ends it: every task that it started, directly or not, is cancelled in the
order of its creation, and whoever called learns only that the connection is lost.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

Result = TypeVar("Result")

_current: contextvars.ContextVar[SimulatedProcess | None] = contextvars.ContextVar(
    "simulated process", default=None
)


class ProcessCrashed(Exception):
    """The process ended during the call; what it had done by then is unknown."""


class SimulatedProcess:
    """`is_alive` starts True and becomes False once, with `crash`."""

    def __init__(self) -> None:
        self.is_alive = True
        # In order of creation; a dictionary because sets have no order that could be replayed.
        self._tasks: dict[asyncio.Task[Any], None] = {}

    async def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` returns inside the process. Raises: ProcessCrashed, and what it raises."""
        if not self.is_alive:
            work.close()
            raise ProcessCrashed
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is not _create_task:
            loop.set_task_factory(_create_task)  # type: ignore[arg-type]
        context = contextvars.copy_context()
        context.run(_current.set, self)
        task = loop.create_task(work, name="call into a process", context=context)
        try:
            return await task
        except asyncio.CancelledError:
            if not self.is_alive and not _is_being_cancelled():
                raise ProcessCrashed from None
            task.cancel()
            raise

    def crash(self) -> None:
        """End every task of the process at its present await. A second call does nothing."""
        self.is_alive = False
        for task in list(self._tasks):
            task.cancel()

    async def crash_here(self) -> NoReturn:
        """For fault handlers inside the process: it ends at this line."""
        self.crash()
        await asyncio.Event().wait()
        raise AssertionError("a crashed process goes on")

    async def wait_ended(self) -> None:
        """Return when the last task of the crashed process is gone."""
        assert not self.is_alive
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _own(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(self._disown)
        if not self.is_alive:
            # Started by the clean-up of a task that is ending: it belongs to the dead as well.
            task.cancel()

    def _disown(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _create_task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any],
    context: contextvars.Context | None = None,
) -> asyncio.Task[Any]:
    """The loop's task factory: a task belongs to the process of its context."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    process = _current.get() if context is None else context.get(_current)
    if process is not None:
        process._own(task)
    return task
