"""One simulated run: clients, subscribers and a failing server, all decided by one seed.

Checked while it runs: the model's invariant in every snapshot that anybody sees; snapshots that
repeat; acknowledged commits that later transactions see; refreshed tokens that tell the truth.
Checked at the end: what clients were told, and that no subscriber waits with an old result.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from fenchel.database import (
    Database,
    RepeatableTimestamp,
    Reservation,
    Retention,
    Token,
    Transaction,
)
from fenchel.documents import Timestamp
from fenchel.errors import ConflictError, FenchelError
from fenchel.persistence import Persistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from fenchel.testing import FaultPlan, ProcessCrashed, SimulatedServer
from fenchel.testing.list_append import Status
from tests.database.helpers import push
from tests.simulation.models import SCHEMA, Attempt, Model

_SETTLE_SECONDS = 120.0
_TOLERATED_CODES = {
    *("OutOfRetention", "CommitterFullError", "OptimisticConcurrencyControlFailure"),
    *("SubscriptionsWorkerFullError", "DataNotStored"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much happens; times are the longest in seconds."""

    client_count: int = 6
    steps_per_client: int = 15
    watcher_count: int = 3
    poller_count: int = 2
    pause_seconds: float = 0.02
    # Probability that a client gives up waiting, perhaps in the middle of its commit.
    impatience: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`digest` is equal for equal runs: of each attempt, when, who and how it ended."""

    digest: str
    attempts: list[Attempt]
    start_count: int
    fault_counts: dict[str, int]
    expired_count: int


def settings_for(source: random.Random) -> Settings:
    """Small queues, groups and logs in some runs, so that their limits are met."""
    return Settings(
        database=replace(
            DatabaseSettings(),
            group_commit_count_max=source.choice((1, 3, 128)),
            commit_queue_count_max=source.choice((2, 512)),
            commit_log_seconds_min=0.1,
            commit_log_seconds_max=source.choice((0.5, 300.0)),
            reservation_seconds_max=source.choice((0.01, 0.3, 2.0)),
            reservation_wait_seconds_max=source.choice((0.1, 10.0)),
            reservation_count_max=source.choice((1, 1_024)),
            query_prefetch_rows=source.choice((1, 2, 100)),
            snapshot_retention_seconds=source.choice((0.2, 2.0, 240.0)),
            document_retention_seconds=source.choice((0.5, 172_800.0)),
            retention_pause_seconds=source.choice((0.05, 1.0, 30.0)),
            retention_rows_per_step=source.choice((1, 7, 128)),
            latest_documents_bytes_max=source.choice((0, 2_000, 1 << 20)),
        )
    )


class Simulation:
    """`seen` holds, for each timestamp that was looked at, what was there."""

    def __init__(
        self,
        seed: int,
        model: Model,
        *,
        plan: FaultPlan | None,
        load: Load,
        settings: Settings | None = None,
    ) -> None:
        self._source = random.Random(seed)
        self._model = model
        self._plan = plan or FaultPlan.drawn(self._source)
        self._load = load
        drawn = settings_for(self._source)
        self._server = SimulatedServer(self._open, self._source, settings or drawn)
        self._background_failures: list[BaseException] = []
        self._attempts: list[Attempt] = []
        self._seen: dict[int, Any] = {}
        self._watched: dict[int, Any] = {}
        self._acknowledged_ts = 0
        # By client: its last transaction that conflicted.
        self._lost: dict[int, tuple[Database, Transaction]] = {}
        self._event_count = 0
        self._is_over = False
        self._trace = hashlib.sha256()

    async def run(self) -> Report:
        await self._server.call(self._set_up)
        self._server.set_faults(self._plan)
        async with asyncio.TaskGroup() as observers:
            tasks = [
                observers.create_task(self._watch(number), name=f"watcher {number}")
                for number in range(self._load.watcher_count)
            ]
            for number in range(self._load.poller_count):
                observers.create_task(self._poll(), name=f"poller {number}")
            async with asyncio.TaskGroup() as clients:
                for number in range(self._load.client_count):
                    clients.create_task(self._client(number), name=f"client {number}")
            await self._finish()
            for task in tasks:
                task.cancel()
        return Report(
            digest=self._trace.hexdigest(),
            attempts=self._attempts,
            start_count=self._server.start_count,
            fault_counts=self._server.disk.fault_counts,
            expired_count=self._server.disk.expired_count,
        )

    async def _finish(self) -> None:
        """No more faults; everybody gets time; then the books must balance."""
        self._server.set_faults(self._plan.without_faults())
        self._is_over = True
        await self._server.clock.sleep(_SETTLE_SECONDS)
        view = await self._retrying(self._final_view)
        self._model.check_end(view, self._attempts)
        assert self._watched == dict.fromkeys(self._watched, view), "a missed invalidation"
        assert len(self._watched) == self._load.watcher_count
        assert self._background_failures == []

    async def _open(self, persistence: Persistence, runtime: Runtime) -> Database:
        """A database with the workers that every server has."""
        database = await Database.open(persistence, runtime)
        # Loaded once in a process, whatever fails later: it knows what it has persisted.
        retention = await Retention.load(database)
        for name, loop in (
            ("retention", retention.run),
            ("repeatable timestamp", RepeatableTimestamp(database).run),
        ):
            task = asyncio.create_task(self._supervise(loop), name=name)
            task.add_done_callback(self._note_failure)
        return database

    async def _supervise(self, loop: Callable[[], Awaitable[None]]) -> None:
        """As the application does: a failure of the disk only interrupts the worker."""
        while True:
            try:
                await loop()
            except FenchelError as error:
                if error.code in ("DatabaseStopped", "LeaseLost"):
                    return
                if error.code not in _TOLERATED_CODES:
                    raise
            except OSError:
                await self._pause()

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._background_failures.append(failure)

    async def _retrying(self, work: Any) -> Any:
        while True:
            try:
                return await self._server.call(work)
            except ProcessCrashed:
                await self._pause()

    async def _set_up(self, database: Database) -> None:
        await push(database, SCHEMA)
        tx = database.begin()
        await self._model.set_up(tx)
        await database.commit(tx)

    async def _final_view(self, database: Database) -> Any:
        database.check_invariants()
        return await self._model.view(database.begin())

    async def _pause(self) -> None:
        await self._server.disk.wait(self._load.pause_seconds)

    def _next_event(self) -> int:
        self._event_count += 1
        return self._event_count

    # Clients.

    async def _client(self, number: int) -> None:
        for _ in range(self._load.steps_per_client):
            attempt = Attempt(status=Status.FAILED, begun=self._next_event())
            self._attempts.append(attempt)
            await self._attempt(number, attempt)
            attempt.ended = self._next_event()
            now = self._server.clock.monotonic()
            self._trace.update(repr((now, number, attempt)).encode())
            await self._pause()

    async def _attempt(self, number: int, attempt: Attempt) -> None:
        """Set the attempt's status: UNKNOWN from the moment that its commit was asked for."""
        patience = None
        if self._source.random() < self._load.impatience:
            patience = self._source.uniform(0.0, 0.2)
        try:
            async with asyncio.timeout(patience):
                await self._server.call(lambda database: self._in_turn(database, number, attempt))
            attempt.status = Status.COMMITTED
        except ConflictError:
            attempt.status = Status.FAILED
        except FenchelError as error:
            if error.code not in _TOLERATED_CODES:
                raise
            attempt.status = Status.FAILED
        except (ProcessCrashed, OSError):
            # The status says how far it had come. TimeoutError, lost patience, is an OSError.
            return

    async def _in_turn(self, database: Database, number: int, attempt: Attempt) -> None:
        """After a conflict in the same process often with a reservation."""
        lost_database, lost = self._lost.pop(number, (None, None))
        if lost is None or lost_database is not database or self._source.random() < 0.3:
            await self._transaction(database, number, attempt, None)
            return
        async with database.reserve(lost) as reservation:
            await self._transaction(database, number, attempt, reservation)

    async def _transaction(
        self, database: Database, number: int, attempt: Attempt, reservation: Reservation | None
    ) -> None:
        acknowledged_ts = self._acknowledged_ts
        tx = database.begin(reservation=reservation)
        assert tx.begin_ts >= acknowledged_ts, "an acknowledged commit is not visible"
        serial = attempt.begun
        if self._source.random() < 0.1:
            tx.begin_subtransaction()
            await self._model.step(tx, self._source, serial)
            tx.rollback_subtransaction()
        attempt.result = await self._model.step(tx, self._source, serial)
        is_read_only = tx.is_read_only
        if self._source.random() < 0.5:
            await self._pause()
        attempt.status = Status.UNKNOWN
        try:
            ts = await database.commit(tx, write_source="step")
        except ConflictError:
            self._lost[number] = (database, tx)
            raise
        assert is_read_only or ts > acknowledged_ts, "timestamps go back"
        assert ts <= database.latest_ts(), "acknowledged before it was published"
        self._acknowledged_ts = max(self._acknowledged_ts, ts)

    # Observers.

    async def _watch(self, number: int) -> None:
        """Subscribe, and look again at each invalidation; across crashes."""
        while True:
            await self._observe(lambda database: self._watch_once(database, number))

    async def _watch_once(self, database: Database, number: int) -> None:
        token, view = await self._look(database)
        self._watched[number] = view
        changed = asyncio.Event()
        # Between looking and subscribing is where invalidations get lost.
        await self._pause()
        subscription = database.subscribe(token, lambda _: changed.set())
        await changed.wait()
        assert not subscription.is_valid
        assert subscription.invalid_ts is not None
        assert subscription.invalid_ts > token.ts

    async def _poll(self) -> None:
        while not self._is_over:
            await self._observe(self._poll_once)
            await self._pause()

    async def _poll_once(self, database: Database) -> None:
        """A token that refreshes must still describe the newest snapshot; an old one its own."""
        token, view = await self._look(database)
        while not self._is_over:
            await self._pause()
            refreshed = database.refresh(token, database.latest_ts())
            if refreshed is None:
                return
            current, latest_view = await self._look(database)
            if current.ts == refreshed.ts:
                assert latest_view == view, "a refreshed token lied"
            token = refreshed
            old = database.begin(ts=Timestamp(self._source.choice([token.ts, *self._seen])))
            self._record(old.begin_ts, await self._model.view(old))

    async def _observe(self, work: Any) -> None:
        try:
            await self._server.call(work)
        except FenchelError as error:
            if error.code not in _TOLERATED_CODES:
                raise
        except (ProcessCrashed, OSError):
            await self._pause()

    async def _look(self, database: Database) -> tuple[Token, Any]:
        """The newest snapshot as the model sees it, checked."""
        acknowledged_ts = self._acknowledged_ts
        tx = database.begin()
        assert tx.begin_ts >= acknowledged_ts
        view = await self._model.view(tx)
        self._record(tx.begin_ts, view)
        return database.token(tx), view

    def _record(self, ts: int, view: Any) -> None:
        self._model.check(view)
        assert self._seen.setdefault(ts, view) == view, "a snapshot changed"
