"""A fixed number of workers and the queue before them. Knows reservations, not what runs."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fenchel.errors import overloaded, rejected_before_execution
from fenchel.isolate.worker import Worker
from fenchel.isolate.worker_supply import WorkerSupply
from fenchel.runtime.settings import IsolateSettings

logger = logging.getLogger(__name__)

TOO_MANY_REQUESTS = (
    "Too many concurrent requests in a short period of time. Spread out your requests out over "
    "time or throttle them to avoid errors."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a caller wants: preferably a worker that has the bundle; alone in it; ahead of the queue
    and above the limit, because an execution that holds a place already is waiting for this one;
    ahead of the queue and with more patience, because it lost the place that it had."""

    bundle_key: str
    is_alone: bool = False
    is_nested: bool = False
    is_again: bool = False


@dataclass(slots=True, eq=False)
class _Waiter:
    wish: Reservation
    worker: asyncio.Future[Worker]


class WorkerLane:
    """Start value: no workers; they are taken from the supply on `start` or at the first
    reservation.

    Waiting is first come, first served: a wish that cannot be met holds back those behind it, so
    that one who wants a worker alone gets it. Invariant: a worker's `reservation_count` is the
    number of open `reserve` blocks that hold it.

    Where JavaScript may compute without end, as that of actions, a worker that does so gets nothing
    new, and up to `relief_count_max` further workers stand in for such ones. At 0 turns are short.
    """

    def __init__(
        self,
        name: str,
        worker_count: int,
        supply: WorkerSupply,
        settings: IsolateSettings,
        *,
        relief_count_max: int = 0,
    ) -> None:
        self._name = name
        self._worker_count = worker_count
        self._relief_count_max = relief_count_max
        self._supply = supply
        self._settings = settings
        self._workers: list[Worker] = []
        self._starts: set[asyncio.Task[None]] = set()
        # Replaced, and ended when the last reservation is given back.
        self._retiring: set[Worker] = set()
        self._waiters: deque[_Waiter] = deque()

    async def start(self) -> None:
        """Return when all workers are ready."""
        self._start_missing()
        await asyncio.gather(*self._starts)

    def relieve(self) -> None:
        """Start workers beside those that compute, for callers that wait."""
        if self._waiters:
            self._start_missing()
            self._serve_waiters()

    def replace_worn(self) -> None:
        """Begin to put a new worker in the place of a worn one; one at a time, and the new one is
        ready before the old one gets nothing more.
        """
        worn = next((worker for worker in self._workers if worker.is_worn), None)
        if worn is not None and not self._starts and not self._retiring:
            self._start(self._replace(worn))

    async def _replace(self, worn: Worker) -> None:
        await self._add_worker()
        if worn in self._workers:
            self._workers.remove(worn)
            self._retiring.add(worn)
            self._end_surplus(worn)

    async def close(self) -> None:
        for task in self._starts:
            task.cancel()
        await asyncio.gather(*self._starts, return_exceptions=True)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.worker.done():
                waiter.worker.set_exception(overloaded("WorkerOverloaded", "Shutting down."))

    @property
    def active_count(self) -> int:
        """Reservations now held."""
        return sum(worker.reservation_count for worker in self._workers)

    @property
    def waiting_count(self) -> int:
        return len(self._waiters)

    @asynccontextmanager
    async def reserve(self, wish: Reservation) -> AsyncIterator[Worker]:
        """A place on a worker. Raises: overloaded if the queue is full, rejected if the wait is too
        long.
        """
        worker = await self._acquire(wish)
        try:
            yield worker
        finally:
            _give_back(worker)
            self._serve_waiters()
            self._end_surplus(worker)

    async def _acquire(self, wish: Reservation) -> Worker:
        self._start_missing()
        if not self._waiters or wish.is_nested:
            worker = self._pick(wish)
            if worker is not None:
                return _take(worker, wish)
        if len(self._waiters) >= self._settings.queue_count_max and not wish.is_again:
            raise overloaded("ExecuteFullError", TOO_MANY_REQUESTS)
        waiter = _Waiter(wish, asyncio.get_running_loop().create_future())
        if wish.is_nested or wish.is_again:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        return await self._wait(waiter)

    async def _wait(self, waiter: _Waiter) -> Worker:
        settings = self._settings
        seconds_max = (
            settings.execution_seconds_max
            if waiter.wish.is_again
            else settings.queue_wait_seconds_max
        )
        try:
            async with asyncio.timeout(seconds_max):
                return await waiter.worker
        except BaseException as error:
            self._give_up(waiter)
            if isinstance(error, TimeoutError):
                raise rejected_before_execution("ExpiredInQueue", TOO_MANY_REQUESTS) from error
            raise

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the queue, or give back the place that came too late."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif not waiter.worker.cancelled() and waiter.worker.exception() is None:
            _give_back(waiter.worker.result())
        self._serve_waiters()

    def _serve_waiters(self) -> None:
        while self._waiters:
            waiter = self._waiters[0]
            if waiter.worker.cancelled():
                return  # Its owner is about to remove it and to serve the others.
            worker = self._pick(waiter.wish)
            if worker is None:
                return
            self._waiters.popleft()
            waiter.worker.set_result(_take(worker, waiter.wish))

    def _pick(self, wish: Reservation) -> Worker | None:
        """The least busy worker that fits; among equals one that has the bundle, then the first."""
        if wish.is_nested:
            fitting = [w for w in self._workers if not w.is_reserved_alone] or self._workers
        elif wish.is_alone:
            fitting = [w for w in self._workers if w.reservation_count == 0]
        else:
            count_max = self._settings.executions_per_worker_max
            fitting = [
                w
                for w in self._workers
                if w.reservation_count < count_max
                and not w.is_reserved_alone
                and not (w.is_computing and self._relief_count_max)
            ]
        key = wish.bundle_key
        return min(
            fitting, key=lambda w: (w.reservation_count, not w.has_loaded(key)), default=None
        )

    def _start_missing(self) -> None:
        for _ in range(self._wanted_count - len(self._workers) - len(self._starts)):
            self._start(self._add_worker())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"isolate-lane-{self._name}")
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    @property
    def _wanted_count(self) -> int:
        """Workers that can begin something, up to the bound on relief."""
        computing_count = sum(worker.is_computing for worker in self._workers)
        return self._worker_count + min(computing_count, self._relief_count_max)

    def _end_surplus(self, worker: Worker) -> None:
        """A worker that was replaced goes when it is idle; so does one that relieved others when
        they are free again.
        """
        if worker.reservation_count > 0:
            return
        is_surplus = len(self._workers) > self._wanted_count and worker in self._workers
        if is_surplus or worker in self._retiring:
            worker.process.kill("it is not needed any more")

    async def _add_worker(self) -> None:
        worker = await self._supply.take(self._on_death)
        self._workers.append(worker)
        self._serve_waiters()

    def _on_death(self, worker: Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
        self._retiring.discard(worker)
        self._start_missing()


def _take(worker: Worker, wish: Reservation) -> Worker:
    worker.reservation_count += 1
    worker.is_reserved_alone = worker.is_reserved_alone or wish.is_alone
    return worker


def _give_back(worker: Worker) -> None:
    worker.reservation_count -= 1
    worker.is_reserved_alone = worker.is_reserved_alone and worker.reservation_count > 0
