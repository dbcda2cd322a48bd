"""Tasks that outlive their first caller: each has a name and this owner, and ends with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from fenchel.errors import FenchelError

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class BackgroundTasks:
    """Start value: empty. `spawn` adds a task, its end removes it, after `close` there is none.

    The callers bound the number.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, name: str, work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        """Run `work` as a task. Unexpected exceptions are logged even if nobody awaits it."""
        assert not self._is_closed, "the owner of background tasks is closed"
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def close(self, *, wait_seconds: float = 0.0) -> None:
        """Give running tasks `wait_seconds` to end, then cancel them and wait until each has
        cleaned up. Tasks may start others while they are waited for, but not after that."""
        if self._tasks and wait_seconds > 0.0:
            await asyncio.wait(self._tasks, timeout=wait_seconds)
        self._is_closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, FenchelError):
            logger.error("background task failed task=%s", task.get_name(), exc_info=error)
