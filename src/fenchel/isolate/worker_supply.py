"""Ready worker processes: the only place that starts and finally ends them. Keeps one spare."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from fenchel.errors import FenchelError
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.execution import WorkerLost
from fenchel.isolate.metrics import WorkerEnd
from fenchel.isolate.worker import Worker
from fenchel.runtime import Clock

logger = logging.getLogger(__name__)

_BACKOFF_SECONDS_INITIAL = 0.1
_BACKOFF_SECONDS_MAX = 5.0
# Bundles that a new worker gets ahead of its first execution; it keeps one more.
_WARM_BUNDLES_MAX = 2

StartWorker = Callable[[Callable[[Worker], None]], Awaitable[Worker]]


class WorkerSupply:
    """Start value: empty. `start` begins to make the first spare; `take` hands it out and makes the
    next.

    A spare loads the bundles that were warmed last as soon as it is there.

    Invariant: `_workers` holds every worker that was started and is not known to be dead, spare
    included.
    """

    def __init__(self, start_worker: StartWorker, clock: Clock) -> None:
        self._start_worker = start_worker
        self._clock = clock
        self._spare: Worker | None = None
        self._spare_ready = asyncio.Condition()
        self._refill = asyncio.Event()
        self._refill.set()
        self._refiller: asyncio.Task[None] | None = None
        self._workers: set[Worker] = set()
        self._dying: set[Worker] = set()
        self._warm: OrderedDict[str, CodeBundle] = OrderedDict()
        self._death_listeners: dict[Worker, Callable[[Worker], None]] = {}

    def start(self) -> None:
        self._refiller = asyncio.get_running_loop().create_task(
            self._keep_spare(), name="isolate-worker-supply"
        )

    async def take(self, on_death: Callable[[Worker], None]) -> Worker:
        """A ready worker that now belongs to the caller; waits as long as none can be started."""
        async with self._spare_ready:
            await self._spare_ready.wait_for(lambda: self._spare is not None)
            worker = self._spare
            assert worker is not None
            self._spare = None
            self._death_listeners[worker] = on_death
            self._refill.set()
            return worker

    async def warm(self, bundle: CodeBundle) -> None:
        """Load it in the spare, and in all that come. Raises: FenchelError; WorkerLost."""
        self._warm[bundle.key] = bundle
        self._warm.move_to_end(bundle.key)
        if len(self._warm) > _WARM_BUNDLES_MAX:
            self._warm.popitem(last=False)
        if self._spare is not None:
            await self._spare.preload(bundle)

    def workers(self) -> list[Worker]:
        """All living workers, for the watchdog."""
        return list(self._workers)

    async def close(self) -> None:
        """Kill every worker and return when all processes are gone."""
        if self._refiller is not None:
            self._refiller.cancel()
            await asyncio.gather(self._refiller, return_exceptions=True)
        self._death_listeners.clear()
        for worker in self.workers():
            worker.end_reason = WorkerEnd.CLOSING
            worker.process.kill("the pool is closing")
        for worker in list(self._dying):
            await worker.process.wait_dead()

    async def _keep_spare(self) -> None:
        backoff_seconds = 0.0
        while True:
            await self._refill.wait()
            await self._clock.sleep(backoff_seconds)
            await self._forget_dead()
            try:
                worker = await self._start_worker(self._on_death)
            except FenchelError as error:
                backoff_seconds = min(
                    max(backoff_seconds * 2, _BACKOFF_SECONDS_INITIAL), _BACKOFF_SECONDS_MAX
                )
                logger.warning(
                    "no isolate worker retry_seconds=%.1f error=%s", backoff_seconds, error
                )
                continue
            backoff_seconds = 0.0
            await self._offer(worker)
            await self._preload(worker)

    async def _preload(self, worker: Worker) -> None:
        """It may be taken meanwhile, and is of use without."""
        try:
            for bundle in list(self._warm.values()):
                await worker.preload(bundle)
        except (FenchelError, WorkerLost) as error:
            logger.warning("a worker has no bundle ahead error=%r", error)

    async def _offer(self, worker: Worker) -> None:
        if not worker.is_alive:
            return
        self._workers.add(worker)
        async with self._spare_ready:
            self._spare = worker
            self._refill.clear()
            self._spare_ready.notify()

    async def _forget_dead(self) -> None:
        for worker in list(self._dying):
            await worker.process.wait_dead()
            self._dying.discard(worker)

    def _on_death(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._dying.add(worker)
        if self._spare is worker:
            self._spare = None
            self._refill.set()
        listener = self._death_listeners.pop(worker, None)
        if listener is not None:
            listener(worker)
