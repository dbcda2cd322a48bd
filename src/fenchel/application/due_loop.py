"""Starting what is due: one loop for scheduled functions and one for crons (execution 6)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from fenchel.application.executor_parts import ExecutorParts
from fenchel.application.metrics import DueMetrics
from fenchel.application.waiting import wait_for_event
from fenchel.database import Transaction

_IDLE_SECONDS_MAX = 60.0
# How far back a row may appear: a transaction schedules for the time at which it began.
_LATE_NS = 60 * 10**9
# So many ended rows are passed in less time than a look takes anyway.
_ROWS_PASSED_MAX = 1_000
_ROWS_AHEAD_MAX = 128


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

    Start value: nothing runs or waits. `_running` holds the ids of rows with a task, at most
    `parallelism`; a row never runs twice at the same time. `_due` holds rows that were due when
    somebody last looked and wait for a slot; nobody looks while there are any. `_rows_ahead` is how
    many of them a look asks for: it doubles while that is not enough. No unfinished row was seen
    before `_first_ns`: the `_begun_count` rows before it have left entries of the index behind,
    until retention deletes them, and a look need not pass those.

    `list_next` gives at most so many unfinished rows from that time on, ascending. `run_row`
    handles its own failures, and rows that have changed since they were listed.
    """

    def __init__(
        self,
        *,
        name: str,
        parts: ExecutorParts,
        metrics: DueMetrics,
        parallelism: int,
        list_next: Callable[[Transaction, int, int], Awaitable[Sequence[Row]]],
        run_row: Callable[[Row], Awaitable[None]],
    ) -> None:
        self._name = name
        self._parts = parts
        self._clock = parts.runtime.clock
        self._metrics = metrics
        self._parallelism = parallelism
        self._list_next = list_next
        self._run_row = run_row
        self._running: set[str] = set()
        self._due: deque[Row] = deque()
        self._rows_ahead = 1
        self._first_ns = 0
        self._begun_count = 0
        self._full_look_seconds = self._clock.monotonic()
        self._wake = asyncio.Event()
        metrics.watch(self)

    @property
    def running_count(self) -> int:
        return len(self._running)

    @property
    def due_count(self) -> int:
        """Rows that wait for a slot, as far as they were looked at."""
        return len(self._due)

    @property
    def lag_seconds(self) -> float:
        """For how long the first that waits for a slot is due; 0 if none does."""
        return self._lag_seconds(self._due[0]) if self._due else 0.0

    def _lag_seconds(self, row: Row) -> float:
        return max(self._clock.now_ns() - row.due_ns, 0) / 1e9

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            await self._look()

    async def next_due_ns(self, tx: Transaction) -> int | None:
        """When the first unfinished row is, or was, due; None if there is no such row."""
        rows = await self._list_next(tx, 1, 0)
        return rows[0].due_ns if rows else None

    async def _look(self) -> None:
        """Start what is due now; return when there may be more."""
        self._wake.clear()
        database = self._parts.database
        tx = database.begin()
        # Rows that run already may stand before the ones to start.
        limit = self._parallelism + len(self._running) + self._rows_ahead
        rows = await self._list_next(tx, limit, self._begin_ns())
        idle_seconds = self._take_due(rows, limit)
        self._start_due()
        if self._due:
            await self._start_others()
            return
        subscription = database.subscribe(database.token(tx), lambda _: self._wake.set())
        try:
            if subscription.is_valid:
                await wait_for_event(self._wake, self._clock, idle_seconds)
        finally:
            subscription.close()

    def _begin_ns(self) -> int:
        """From when to look: now and then from the beginning, in case the clock was put back."""
        now_seconds = self._clock.monotonic()
        if self._begun_count > _ROWS_PASSED_MAX and now_seconds < self._full_look_seconds:
            return self._first_ns
        self._full_look_seconds = now_seconds + _IDLE_SECONDS_MAX
        return 0

    def _take_due(self, rows: Sequence[Row], limit: int) -> float:
        """Seconds until the next look is needed."""
        now_ns = self._clock.now_ns()
        first_ns = min(now_ns, rows[0].due_ns) if rows else now_ns
        self._first_ns = max(0, first_ns - _LATE_NS)
        for row in rows:
            if row.id_text in self._running or not row.is_pending:
                continue
            if row.due_ns > now_ns:
                self._rows_ahead = 1
                return min((row.due_ns - now_ns) / 1e9, _IDLE_SECONDS_MAX)
            self._due.append(row)
        is_full = len(rows) == limit
        self._rows_ahead = min(2 * self._rows_ahead, _ROWS_AHEAD_MAX) if is_full else 1
        return _IDLE_SECONDS_MAX

    def _start_due(self) -> None:
        while self._due and len(self._running) < self._parallelism:
            row = self._due.popleft()
            self._running.add(row.id_text)
            self._begun_count += 1
            self._metrics.record_begin(self._lag_seconds(row))
            self._parts.tasks.spawn(f"{self._name} {row.id_text}", self._run(row))

    async def _start_others(self) -> None:
        """Return when all that were due have begun. How long that takes is up to those that run,
        which all have a limit."""
        while self._due:
            self._wake.clear()
            await self._wake.wait()
            self._start_due()

    async def _run(self, row: Row) -> None:
        try:
            await self._run_row(row)
        finally:
            self._running.discard(row.id_text)
            self._wake.set()
