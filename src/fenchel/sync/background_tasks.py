"""Actions outlive the connection that started them: the owner of those tasks (client-protocol
3.11).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from fenchel.errors import FenchelError

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class BackgroundTasks:
    """Every task is in `_tasks` until it ends; after `close` there is none. The callers bound their
    number.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, _Result], *, name: str) -> asyncio.Task[_Result]:
        """Run `work` to its end, whether or not anybody waits for the returned task."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, FenchelError):
            logger.error("background task failed task=%s", task.get_name(), exc_info=error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self, *, wait_seconds: float) -> None:
        """Give running tasks `wait_seconds` to end, then cancel them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=wait_seconds)
        remaining = list(self._tasks)
        for task in remaining:
            task.cancel()
        if remaining:
            await asyncio.wait(remaining)
