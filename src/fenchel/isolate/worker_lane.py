"""A fixed number of workers and the queue before them. Knows reservations, not what runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from fenchel.errors import FenchelError, rejected_before_execution
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.fair_queue import FairQueue
from fenchel.isolate.metrics import IsolateMetrics, WorkerEnd
from fenchel.isolate.worker import Worker
from fenchel.isolate.worker_supply import WorkerSupply
from fenchel.runtime import Clock
from fenchel.runtime.settings import IsolateSettings

logger = logging.getLogger(__name__)

# The smallest class of the reference takes so many at once (execution 4.4).
_ACTIONS_MIN = 64
# Who would have to share its worker waits so long for another one: several times what it takes.
_START_SECONDS_MAX = 1.0

TOO_MANY_REQUESTS = (
    "Too many concurrent requests in a short period of time. Spread out your requests out over "
    "time or throttle them to avoid errors."
)


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants: preferably a worker that has the bundle; alone in it; ahead of the queue
    and above the limit, because an execution that holds a place already is waiting for this one;
    ahead of the queue and with more patience, because it lost the place that it had; a function
    that is known to compute for long; one that waits however long it takes. `client`: those who
    wait are served one of each client in turn. `udf_type` is for the metrics."""

    bundle_key: str
    udf_type: str
    client: str = ""
    is_alone: bool = False
    is_nested: bool = False
    is_again: bool = False
    is_long: bool = False
    is_patient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How many executions a lane takes at once, not counting those that others of them wait for:
    with these it takes up to twice as many. `setting` is what to change, `kind` their name.
    """

    count_max: int
    wait_seconds_max: float
    kind: str
    setting: str


def action_crowd(settings: IsolateSettings, worker_count: int) -> Crowd:
    usual = max(_ACTIONS_MIN, worker_count * settings.executions_per_worker_max)
    return Crowd(
        count_max=settings.concurrent_actions_max or usual,
        wait_seconds_max=settings.action_wait_seconds_max,
        kind="actions",
        setting="isolate.concurrent_actions_max",
    )


@dataclass(slots=True, eq=False)
class _Waiter:
    wish: Reservation
    since_seconds: float
    worker: asyncio.Future[Worker]


class WorkerLane:
    """Start value: no workers; they are taken from the supply on `start`, or when none is idle.
    Those that stay idle end again, down to `idle_count_min`.

    A wish that cannot be met holds back those behind it, so that one who wants a worker alone gets
    it. When the queue is full, the client that has most in it is refused. Invariant: a worker's
    `reservation_count` is the number of reservations that hold it.

    A worker that is held up by a long turn gets nothing new, and up to `relief_workers_max` further
    ones stand in for such workers; what is short goes to as many workers at once as without relief.
    Functions that are known for long turns wait in a queue of their own, and one worker less than
    all may run them: the others always have one.

    A lane with a `crowd` has so many places, whatever the number of workers that it begins with:
    further ones are started while all are full. What runs there cannot move once it has begun, so
    functions that are known for long turns share no worker with others, unless all that the lane
    may have are taken: it starts one more, and waits for it.
    """

    def __init__(
        self,
        name: str,
        worker_count: int,
        supply: WorkerSupply,
        settings: IsolateSettings,
        metrics: IsolateMetrics,
        clock: Clock,
        *,
        idle_count_min: int = 0,
        crowd: Crowd | None = None,
    ) -> None:
        self._name = name
        self._metrics = metrics
        self._outstanding = metrics.outstanding
        self._clock = clock
        self._crowd = crowd
        # Of `active_count` those that nobody else in the lane waits for.
        self._independent_count = 0
        self._worker_count = worker_count
        self._idle_count_min = idle_count_min
        # Workers wanted without relief: between the minimum and `worker_count`.
        self._base_count = idle_count_min
        self._stalled_at = float("-inf")
        # The last look at the workers, and the last at which none was being started.
        self._looked_at = self._unstarted_at = 0.0
        self._supply = supply
        self._settings = settings
        self._workers: list[Worker] = []
        self._starts: set[asyncio.Task[None]] = set()
        # Replaced, and ended when the last reservation is given back.
        self._retiring: set[Worker] = set()
        self._waiters: FairQueue[_Waiter] = FairQueue()
        self._long_waiters: FairQueue[_Waiter] = FairQueue()
        self._long_count = 0
        self._long_count_max = max(worker_count + settings.relief_workers_max - 1, 1)

    async def start(self) -> None:
        """Return when all workers are ready."""
        self._base_count = self._worker_count
        self._start_missing()
        await asyncio.gather(*self._starts)

    async def warm(self, bundle: CodeBundle) -> None:
        """Return when every worker that is not held up has loaded the bundle. Raises: FenchelError
        if it cannot be loaded.
        """
        free = [worker for worker in self._workers if not worker.is_stalled]
        await asyncio.gather(*(worker.preload(bundle) for worker in free))

    def relieve(self, now: float) -> None:
        """Start workers beside those that are held up, for callers that wait. Call it after each
        look at the workers.
        """
        if any(worker.is_stalled or self._is_long(worker) for worker in self._workers):
            self._stalled_at = now
        self._looked_at = now
        if not self._starts:
            self._unstarted_at = now
        if self._waiters or self._long_waiters:
            self._start_missing(self._waiters.first.wish if self._waiters else None)
            self._serve_waiters()

    def retire_idle(self, now: float) -> None:
        """Let go of one worker that relieved others or that nobody needs."""
        if self._starts or not self._workers:
            return
        settings = self._settings
        idlest = min(self._workers, key=lambda w: (w.reservation_count, w.idle_since))
        if len(self._workers) > self._wanted_count:
            if now - self._stalled_at >= settings.relief_seconds:
                self._retire(idlest, WorkerEnd.IDLE_TIMEOUT)
            return
        is_idle = idlest.reservation_count == 0
        is_long = now - idlest.idle_since >= settings.worker_idle_seconds_max
        if self._base_count > self._idle_count_min and is_idle and is_long:
            self._base_count -= 1
            self._retire(idlest, WorkerEnd.IDLE_TIMEOUT)

    def replace_worn(self) -> None:
        """Begin to put a new worker in the place of a worn one; one at a time, and the new one is
        ready before the old one gets nothing more.
        """
        worn = next((worker for worker in self._workers if worker.worn_by is not None), None)
        if worn is not None and not self._starts and not self._retiring:
            self._start(self._replace(worn))

    async def _replace(self, worn: Worker) -> None:
        await self._add_worker()
        if worn in self._workers:
            self._retire(worn, worn.worn_by)

    def _retire(self, worker: Worker, reason: WorkerEnd | None) -> None:
        worker.end_reason = reason
        self._workers.remove(worker)
        self._retiring.add(worker)
        self._end_retired(worker)

    async def close(self) -> None:
        for task in self._starts:
            task.cancel()
        await asyncio.gather(*self._starts, return_exceptions=True)
        for queue in (self._waiters, self._long_waiters):
            while queue:
                waiter = queue.first
                queue.remove_first()
                if not waiter.worker.done():
                    error = rejected_before_execution("WorkerOverloaded", "Shutting down.")
                    waiter.worker.set_exception(error)

    @property
    def active_count(self) -> int:
        """Reservations now held."""
        return sum(worker.reservation_count for worker in self._workers)

    @property
    def places_max(self) -> int:
        """How many reservations it holds at once, without those that others of them wait for."""
        if self._crowd is not None:
            return self._crowd.count_max
        return self._worker_count * self._settings.executions_per_worker_max

    @property
    def waiting_count(self) -> int:
        return len(self._waiters) + len(self._long_waiters)

    @asynccontextmanager
    async def reserve(self, wish: Reservation) -> AsyncIterator[Worker]:
        """A place on a worker. Raises: ExecuteFullError if the queue is full; ExpiredInQueue or
        TooManyConcurrentRequests if the wait is too long. Nothing has begun then.
        """
        worker = await self.acquire(wish)
        try:
            yield worker
        finally:
            self.release(worker, wish)

    async def acquire(self, wish: Reservation) -> Worker:
        """As `reserve`, for those who `release` it themselves."""
        self._grow(wish)
        self._start_missing(wish)
        queue = self._queue_of(wish)
        if not queue or wish.is_nested:
            worker = self._pick(wish)
            if worker is not None:
                return self._take(worker, wish, 0.0)
        now = self._clock.monotonic()
        waiter = _Waiter(wish, now, asyncio.get_running_loop().create_future())
        if wish.is_nested or wish.is_again:
            queue.add_ahead(waiter)
        else:
            self._make_room(queue, wish)
            queue.add(waiter, wish.client)
        return await self._wait(waiter)

    def release(self, worker: Worker, wish: Reservation) -> None:
        self._give_back(worker, wish)
        self._serve_waiters()
        self._end_retired(worker)

    def _queue_of(self, wish: Reservation) -> FairQueue[_Waiter]:
        has_own = wish.is_long and not wish.is_nested and self._crowd is None
        return self._long_waiters if has_own else self._waiters

    def _make_room(self, queue: FairQueue[_Waiter], wish: Reservation) -> None:
        """Raises: ExecuteFullError for the newcomer, if nobody else has more in a full queue."""
        if len(queue) < self._settings.queue_count_max:
            return
        last = queue.last_of_longest(wish.client)
        if last is None:
            raise _full()
        queue.discard(last, last.wish.client)
        if not last.worker.done():
            last.worker.set_exception(_full())

    async def _wait(self, waiter: _Waiter) -> Worker:
        queued, udf_type = self._outstanding.queued, waiter.wish.udf_type
        queued[udf_type] = queued.get(udf_type, 0) + 1
        try:
            async with asyncio.timeout(self._wait_seconds_max(waiter.wish)):
                return await waiter.worker
        except BaseException as error:
            self._give_up(waiter)
            if isinstance(error, TimeoutError):
                raise self._expired(waiter.wish) from error
            raise
        finally:
            queued[udf_type] -= 1

    def _wait_seconds_max(self, wish: Reservation) -> float | None:
        if wish.is_patient:
            return None
        if wish.is_again:
            return self._settings.execution_seconds_max
        if self._crowd is not None:
            return self._crowd.wait_seconds_max
        return self._settings.queue_wait_seconds_max

    def _expired(self, wish: Reservation) -> FenchelError:
        crowd = self._crowd
        if crowd is None or not self._is_crowded_for(wish):
            return rejected_before_execution("ExpiredInQueue", TOO_MANY_REQUESTS)
        return rejected_before_execution(
            "TooManyConcurrentRequests",
            f"Too many concurrent requests. Your backend is limited to {crowd.count_max} "
            f"concurrent {crowd.kind}. Let fewer run at once, or raise the setting "
            f"{crowd.setting}.",
        )

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the queue, or give back the place that came too late."""
        is_served = not self._queue_of(waiter.wish).discard(waiter, waiter.wish.client)
        if is_served and not waiter.worker.cancelled() and waiter.worker.exception() is None:
            self._give_back(waiter.worker.result(), waiter.wish)
        self._serve_waiters()

    def _serve_waiters(self) -> None:
        self._serve(self._waiters)
        self._serve(self._long_waiters)

    def _serve(self, queue: FairQueue[_Waiter]) -> None:
        while queue:
            waiter = queue.first
            if waiter.worker.cancelled():
                return  # Its owner is about to remove it and to serve the others.
            worker = self._pick(waiter.wish)
            if worker is None:
                return
            queue.remove_first()
            waited_seconds = self._clock.monotonic() - waiter.since_seconds
            waiter.worker.set_result(self._take(worker, waiter.wish, waited_seconds))

    def _pick(self, wish: Reservation) -> Worker | None:
        """The least busy worker that fits; among equals one that has the bundle, then the first."""
        if self._is_crowded_for(wish):
            return None
        if wish.is_nested and self._crowd is None:
            fitting = [w for w in self._everyday if not (w.is_reserved_alone or w.is_stalled)]
            fitting = fitting or self._workers
        elif wish.is_long and self._crowd is None and self._long_count >= self._long_count_max:
            return None
        elif wish.is_alone:
            fitting = [w for w in self._workers if w.reservation_count == 0]
        else:
            among = self._workers if wish.is_long else self._everyday
            fitting = [w for w in among if self._has_place(w)]
        if self._crowd is not None:
            apart = [worker for worker in fitting if _keeps_apart(worker, wish)]
            if self._starts and not apart and self._is_start_young:
                return None  # It is served when the new worker is there.
            fitting = apart or fitting
        key = wish.bundle_key
        return min(
            fitting, key=lambda w: (w.reservation_count, not w.has_loaded(key)), default=None
        )

    @property
    def _everyday(self) -> list[Worker]:
        """The workers for what is short: all, but without relief that nobody needs at the moment.

        It stays for a minute, for long turns that come again; executions spread over more
        processes than cores would wake each for less, and each would have to get warm.
        """
        if self._crowd is not None or len(self._workers) <= self._base_count:
            return self._workers
        free = [w for w in self._workers if not (w.is_stalled or w.is_reserved_alone)]
        free.sort(key=lambda worker: worker.long_count > 0)
        return free[: self._base_count]

    def _has_place(self, worker: Worker) -> bool:
        count_max = self._settings.executions_per_worker_max
        is_full = worker.reservation_count >= count_max or worker.is_reserved_alone
        return not is_full and not worker.is_stalled

    @property
    def _is_start_young(self) -> bool:
        return self._looked_at - self._unstarted_at < _START_SECONDS_MAX

    def _is_long(self, worker: Worker) -> bool:
        """Whether others had better not come to this worker, which runs what they cannot leave."""
        return self._crowd is not None and worker.long_count > 0

    def _is_crowded_for(self, wish: Reservation) -> bool:
        crowd = self._crowd
        if crowd is None or wish.is_nested:
            return False
        return self._independent_count >= crowd.count_max

    def _grow(self, wish: Reservation) -> None:
        """Want one more worker if those that are wanted have no place for this one too."""
        crowd = self._crowd
        if crowd is None or self._base_count < self._worker_count or self._is_crowded_for(wish):
            return
        count_max = 2 * crowd.count_max if wish.is_nested else crowd.count_max
        count = min(self.active_count + self.waiting_count + 1, count_max)
        if count > self._base_count * self._settings.executions_per_worker_max:
            self._base_count += 1

    def _start_missing(self, wish: Reservation | None = None) -> None:
        """Start the workers that are wanted, and one more if `wish` has to be kept apart."""
        is_smaller = self._base_count < self._worker_count
        if is_smaller and not any(worker.reservation_count == 0 for worker in self._workers):
            self._base_count += 1
        # Who has just got a worker comes here before the task that started it is discarded.
        start_count = sum(not task.done() for task in self._starts)
        count = len(self._workers) + start_count
        if start_count == 0 and count >= self._wanted_count and self._lacks_worker(wish):
            self._start(self._add_worker())
        for _ in range(self._wanted_count - count):
            self._start(self._add_worker())

    def _lacks_worker(self, wish: Reservation | None) -> bool:
        """Whether it would have to share a worker with others although there may be one more."""
        if wish is None or self._crowd is None or self._is_crowded_for(wish):
            return False
        if len(self._workers) >= self._base_count + self._settings.relief_workers_max:
            return False
        fitting = [worker for worker in self._workers if self._has_place(worker)]
        return bool(fitting) and not any(_keeps_apart(worker, wish) for worker in fitting)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"isolate-lane-{self._name}")
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    @property
    def _wanted_count(self) -> int:
        """Workers that can begin something, up to the bound on relief."""
        stalled_count = sum(worker.is_stalled for worker in self._workers)
        return self._base_count + min(stalled_count, self._settings.relief_workers_max)

    def _end_retired(self, worker: Worker) -> None:
        if worker.reservation_count == 0 and worker in self._retiring:
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

    def _take(self, worker: Worker, wish: Reservation, waited_seconds: float) -> Worker:
        self._metrics.record_begin(wish.udf_type, waited_seconds)
        running = self._outstanding.running
        running[wish.udf_type] = running.get(wish.udf_type, 0) + 1
        worker.reservation_count += 1
        worker.is_reserved_alone = worker.is_reserved_alone or wish.is_alone
        self._long_count += wish.is_long
        worker.long_count += wish.is_long
        self._independent_count += not wish.is_nested
        return worker

    def _give_back(self, worker: Worker, wish: Reservation) -> None:
        self._outstanding.running[wish.udf_type] -= 1
        worker.reservation_count -= 1
        worker.is_reserved_alone = worker.is_reserved_alone and worker.reservation_count > 0
        self._long_count -= wish.is_long
        worker.long_count -= wish.is_long
        self._independent_count -= not wish.is_nested


def _keeps_apart(worker: Worker, wish: Reservation) -> bool:
    """Whether all that runs there is as long, or as short, as what is wished for."""
    return worker.long_count == (worker.reservation_count if wish.is_long else 0)


def _full() -> FenchelError:
    return rejected_before_execution("ExecuteFullError", TOO_MANY_REQUESTS)
