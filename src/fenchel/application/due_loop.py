"""Starting what is due: one loop for scheduled functions and one for crons (execution 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from fenchel.application.waiting import wait_for_event
from fenchel.database import Database, Transaction
from fenchel.runtime import BackgroundTasks, Runtime

_IDLE_SECONDS_MAX = 60.0


class DueRow(Protocol):
    """Something with a time. `due_ns` is nanoseconds since the epoch."""

    @property
    def id_text(self) -> str: ...

    @property
    def due_ns(self) -> int: ...

    @property
    def is_pending(self) -> bool: ...


Row = TypeVar("Row", bound=DueRow)


class DueLoop(Generic[Row]):
    """Look at the next rows, start those that are due, sleep until a row changes, the next one is
    due, or a slot becomes free.

    Start value: nothing runs. `_running` holds the ids of rows with a task, at most `parallelism`;
    a row never runs twice at the same time. `list_next` gives at most so many unfinished rows,
    ascending by their time; `run_row` handles its own failures.
    """

    def __init__(
        self,
        *,
        name: str,
        database: Database,
        runtime: Runtime,
        tasks: BackgroundTasks,
        parallelism: int,
        list_next: Callable[[Transaction, int], Awaitable[Sequence[Row]]],
        run_row: Callable[[Row], Awaitable[None]],
    ) -> None:
        self._name = name
        self._database = database
        self._runtime = runtime
        self._tasks = tasks
        self._parallelism = parallelism
        self._list_next = list_next
        self._run_row = run_row
        self._running: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            self._wake.clear()
            tx = self._database.begin()
            # Rows that run already may stand before the ones to start.
            rows = await self._list_next(tx, self._parallelism + len(self._running) + 1)
            subscription = self._database.subscribe(
                self._database.token(tx), lambda _: self._wake.set()
            )
            try:
                idle_seconds = self._start_due(rows)
                if subscription.is_valid:
                    await wait_for_event(self._wake, self._runtime.clock, idle_seconds)
            finally:
                subscription.close()

    async def next_due_ns(self, tx: Transaction) -> int | None:
        """When the first unfinished row is, or was, due; None if there is no such row."""
        rows = await self._list_next(tx, 1)
        return rows[0].due_ns if rows else None

    def _start_due(self, rows: Sequence[Row]) -> float:
        """Start due rows while there are slots; seconds until the next look is needed."""
        now_ns = self._runtime.clock.now_ns()
        for row in rows:
            if row.id_text in self._running or not row.is_pending:
                continue
            if len(self._running) >= self._parallelism:
                break
            if row.due_ns > now_ns:
                return min((row.due_ns - now_ns) / 1e9, _IDLE_SECONDS_MAX)
            self._running.add(row.id_text)
            self._tasks.spawn(f"{self._name} {row.id_text}", self._run(row))
        return _IDLE_SECONDS_MAX

    async def _run(self, row: Row) -> None:
        try:
            await self._run_row(row)
        finally:
            self._running.discard(row.id_text)
            self._wake.set()
