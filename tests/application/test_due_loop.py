"""The loop that starts what is due: order, slots, and how often and how far back it looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from fenchel.application.due_loop import DueLoop
from fenchel.application.executor_parts import ExecutorParts
from fenchel.application.metrics import ApplicationMetrics
from fenchel.database import Database, Transaction
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import BackgroundTasks, Runtime
from tests.application.fakes import START_NS, SteppedClock

SLOTS = 4
SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    due_ns: int
    is_pending: bool = True

    @property
    def id_text(self) -> str:
        return str(self.number)


@dataclass
class World:
    """Rows that are gone when they have run; `looks` are the limits and first times asked for."""

    clock: SteppedClock = field(default_factory=SteppedClock)
    rows: list[Row] = field(default_factory=list)
    looks: list[tuple[int, int]] = field(default_factory=list)
    ran: list[int] = field(default_factory=list)
    running: int = 0
    peak: int = 0
    looks_at_last_run: int = 0
    has_run: asyncio.Event = field(default_factory=asyncio.Event)
    has_looked: asyncio.Event = field(default_factory=asyncio.Event)

    def plan(self, count: int) -> None:
        first = len(self.rows) + len(self.ran)
        numbers = range(first, first + count)
        self.rows += [Row(number, START_NS - 10_000 + number) for number in numbers]

    async def list_next(self, tx: Transaction, limit: int, from_ns: int) -> list[Row]:
        self.looks.append((limit, from_ns))
        self.has_looked.set()
        return sorted(
            (row for row in self.rows if row.due_ns >= from_ns), key=lambda row: row.due_ns
        )[:limit]

    async def run_row(self, row: Row) -> None:
        self.ran.append(row.number)
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.rows.remove(row)
        self.looks_at_last_run = len(self.looks)
        self.has_run.set()

    async def wait_until_ran(self, count: int) -> None:
        """And until the loop has looked again."""
        async with asyncio.timeout(30):
            while len(self.ran) < count or self.running:
                self.has_run.clear()
                await self.has_run.wait()
            while len(self.looks) == self.looks_at_last_run:
                self.has_looked.clear()
                await self.has_looked.wait()


@asynccontextmanager
async def looping(world: World, metrics: ApplicationMetrics | None = None) -> AsyncIterator[None]:
    runtime = Runtime(clock=world.clock)
    database = await Database.open(MemoryPersistence(), runtime)
    tasks = BackgroundTasks()
    not_used = cast(Any, None)
    parts = ExecutorParts(
        database=database,
        function_runner=not_used,
        mutations=not_used,
        actions=not_used,
        executions=not_used,
        metrics=metrics or ApplicationMetrics(),
        runtime=runtime,
        tasks=tasks,
    )
    loop = DueLoop(
        name="row",
        parts=parts,
        metrics=parts.metrics.jobs,
        parallelism=SLOTS,
        list_next=world.list_next,
        run_row=world.run_row,
    )
    tasks.spawn("loop", loop.run())
    yield
    await tasks.close()
    await database.close()


async def test_all_that_is_due_runs_in_order_with_few_looks() -> None:
    world = World()
    world.plan(1_000)
    async with looping(world):
        await world.wait_until_ran(1_000)
    assert world.ran == list(range(1_000))
    assert world.peak == SLOTS
    assert len(world.looks) < 25


async def test_what_is_not_due_is_not_read_ahead() -> None:
    world = World()
    world.rows = [Row(n, START_NS + (n + 1) * SECOND_NS) for n in range(100)]
    async with looping(world):
        world.clock.advance(1)
        await world.wait_until_ran(1)
    assert all(limit <= SLOTS + 2 for limit, _ in world.looks)


async def test_entries_of_ended_rows_are_passed_by_once_they_are_many() -> None:
    world = World()
    world.rows = [Row(n, START_NS) for n in range(1_001)]
    world.rows.append(Row(2_000, START_NS + 3_600 * SECOND_NS))
    async with looping(world):
        await world.wait_until_ran(1_001)
        assert {from_ns for _, from_ns in world.looks[:8]} == {0}
        assert world.looks[-1][1] == START_NS - 60 * SECOND_NS


async def test_a_row_far_in_the_past_is_found_within_a_minute() -> None:
    world = World()
    world.rows = [Row(n, START_NS) for n in range(1_001)]
    async with looping(world):
        await world.wait_until_ran(1_001)
        world.rows.append(Row(2_000, START_NS - 3_600 * SECOND_NS))
        # The loop may not wait yet.
        async with asyncio.timeout(30):
            while len(world.ran) == 1_001:
                world.clock.advance(60)
                await asyncio.sleep(0)
    assert world.ran[-1] == 2_000
