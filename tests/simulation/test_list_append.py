"""Concurrent clients on a real disk and a real clock; the checker looks for any serial order.

Run longer: `FENCHEL_LIST_APPEND_COUNT=1000000 pytest -m slow tests/simulation/test_list_append.py`.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from fenchel.database import Database, Transaction
from fenchel.errors import ConflictError
from fenchel.persistence import SqlitePersistence
from fenchel.runtime import Runtime
from fenchel.testing.list_append import Append, ListTransaction, Read, Status, find_anomalies
from tests.database.helpers import push
from tests.simulation.models import SCHEMA, append, read

CLIENT_COUNT = 16
# Few lists at a time, so that clients meet; each is left when it is long, so that reads stay cheap.
ACTIVE_LISTS = 12
APPENDS_PER_LIST = 40
LONG_RUN_COUNT = int(os.environ.get("FENCHEL_LIST_APPEND_COUNT", "100000"))


class Run:
    """Clients share the lists and the count of events that stands for real time."""

    def __init__(self, database: Database, seed: int) -> None:
        self.history: list[ListTransaction] = []
        self.committed_count = 0
        self._database = database
        self._source = random.Random(seed)
        self._event_count = 0
        self._append_counts: Counter[str] = Counter()
        self._lists = [f"l{number}" for number in range(ACTIVE_LISTS)]
        self._list_count = ACTIVE_LISTS

    async def run(self, count: int) -> None:
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENT_COUNT):
                clients.create_task(self._client(count), name=f"client {number}")
        names = [f"l{number}" for number in range(self._list_count)]
        for start in range(0, len(names), 500):
            await self._transaction([(name, None) for name in names[start : start + 500]])

    async def _client(self, count: int) -> None:
        while self.committed_count < count:
            await self._transaction(
                [self._next_operation() for _ in range(self._source.randint(1, 4))]
            )

    def _next_operation(self) -> tuple[str, int | None]:
        """A list, and what to append or None to read."""
        place = self._source.randrange(ACTIVE_LISTS)
        key = self._lists[place]
        if self._source.random() < 0.5:
            return key, None
        self._append_counts[key] += 1
        if self._append_counts[key] == APPENDS_PER_LIST:
            self._lists[place] = f"l{self._list_count}"
            self._list_count += 1
        return key, self._append_counts[key]

    async def _transaction(self, wanted: list[tuple[str, int | None]]) -> None:
        begun = self._next_event()
        tx = self._database.begin()
        operations = [await _operate(tx, key, value) for key, value in wanted]
        try:
            await self._database.commit(tx)
            status = Status.COMMITTED
            self.committed_count += 1
        except ConflictError:
            status = Status.FAILED
        done = ListTransaction(
            operations=tuple(operations), status=status, begun=begun, ended=self._next_event()
        )
        self.history.append(done)

    def _next_event(self) -> int:
        self._event_count += 1
        return self._event_count


async def _operate(tx: Transaction, key: str, value: int | None) -> Append | Read:
    if value is None:
        return await read(tx, key)
    # Others get their turn between the steps of this transaction.
    await asyncio.sleep(0)
    return await append(tx, key, value)


async def check_history(directory: Path, *, count: int, seed: int) -> Run:
    """Run on SQLite, then judge."""
    persistence = SqlitePersistence.open(directory)
    database = await Database.open(persistence, Runtime())
    await push(database, SCHEMA)
    run = Run(database, seed)
    await run.run(count)
    database.check_invariants()
    await database.close()
    assert find_anomalies(run.history) == []
    return run


async def test_a_short_history_is_strictly_serializable(tmp_path: Path) -> None:
    run = await check_history(tmp_path, count=1_000, seed=1)
    assert run.committed_count >= 1_000
    assert len(run.history) > run.committed_count, "nobody conflicted"


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_a_long_history_is_strictly_serializable(tmp_path: Path) -> None:
    run = await check_history(tmp_path, count=LONG_RUN_COUNT, seed=2)
    assert run.committed_count >= LONG_RUN_COUNT
