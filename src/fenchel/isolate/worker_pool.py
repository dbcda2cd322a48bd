"""The face of the isolate room at run time: run a function, evaluate pushed code, on processes that
may die.

Three kinds of work never share a worker: queries and mutations (short turns, watched closely),
actions (may compute or wait for long), and code that is being pushed (a worker for it alone, thrown
away afterwards).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from fenchel.database import Transaction
from fenchel.definitions import AnalyzedModule
from fenchel.errors import internal_error, overloaded
from fenchel.isolate import evaluators
from fenchel.isolate.action_execution import ActionCall, run_action_on
from fenchel.isolate.anticipation import Anticipations
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.execution import LossCause, WorkerLost
from fenchel.isolate.host import FunctionNames, UdfHost
from fenchel.isolate.messages import ExecutionKind
from fenchel.isolate.metadata import Deployment
from fenchel.isolate.network import Egress
from fenchel.isolate.outcomes import memory_error, timeout_error
from fenchel.isolate.sandbox import local_sandbox
from fenchel.isolate.spawn import worker_command
from fenchel.isolate.transaction_execution import TransactionCall, run_in_transaction
from fenchel.isolate.worker import Worker
from fenchel.isolate.worker_lane import TOO_MANY_REQUESTS, Reservation, WorkerLane
from fenchel.isolate.worker_supply import WorkerSupply
from fenchel.runtime import Runtime
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import ActionCallbacks, HttpExchange, JsError, UdfOutcome, UdfRequest, UdfType

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5
_EVALUATIONS_MAX = 4

# Attempts beside others while workers are ended from outside.
_TOGETHER_MAX = 3
_NOBODYS_FAULT = frozenset(
    {LossCause.OUTSIDE, LossCause.ISOLATE, LossCause.STARVED, LossCause.REALM}
)
# These are known to be the doing of whoever was the only one in the worker.
_SOLE_FAULTS = frozenset({LossCause.CRASHED, LossCause.MEMORY})
# A machine that starves a function gets so many times as long for it, again and again.
_PATIENCE_FACTOR = 4
_PATIENCE_MAX = 16

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """`number` counts from 1. Alone for the rest once a neighbour or itself may have been the
    reason; also when signals keep coming, for they may be the kernel's, out of memory. `patience`:
    time by the clock for each second of processor time.
    """

    number: int = 1
    is_alone: bool = False
    patience: int = 1

    def after(self, lost: WorkerLost) -> _Attempt:
        is_outside = lost.cause is LossCause.OUTSIDE and self.number < _TOGETHER_MAX
        is_known = is_outside or lost.cause is LossCause.REALM
        is_starved = lost.cause is LossCause.STARVED
        factor = _PATIENCE_FACTOR if is_starved else 1
        return _Attempt(
            number=self.number + 1,
            is_alone=self.is_alone or not (is_known or is_starved),
            patience=min(self.patience * factor, _PATIENCE_MAX),
        )

    def is_blamed(self, lost: WorkerLost) -> bool:
        """Whether this attempt itself must be the reason."""
        if lost.is_sole and lost.cause in _SOLE_FAULTS:
            return True
        return self.is_alone and lost.cause not in _NOBODYS_FAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """`running_*`: executions that hold a worker; `waiting`: requests in the queues; `workers`:
    processes.
    """

    running_transactions: int
    running_actions: int
    waiting: int
    workers: int


class WorkerPool:
    """Life: `start` until all workers for queries and mutations are ready; then running; `close`
    ends it.

    After `close` began, new work is refused with an overload error; running work may finish until
    its deadline.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        deployment: Deployment,
        command: tuple[str, ...] | None = None,
    ) -> None:
        self._settings = runtime.settings.isolate
        self._clock = runtime.clock
        self._deployment = deployment
        command = command or worker_command(self._settings.worker_data_bytes_max)
        self._supply = WorkerSupply(
            lambda on_death: Worker.start(command, self._settings, self._clock, on_death),
            self._clock,
        )
        count = self._settings.worker_count or len(os.sched_getaffinity(0))
        self._transactions = WorkerLane("transactions", count, self._supply, self._settings)
        self._actions = WorkerLane(
            "actions",
            count,
            self._supply,
            self._settings,
            relief_count_max=self._settings.action_relief_workers_max,
        )
        self._egress = Egress(runtime.settings.egress)
        self._anticipations = Anticipations()
        self._evaluations = asyncio.Semaphore(_EVALUATIONS_MAX)
        self._watchdog: asyncio.Task[None] | None = None
        self._active_count = 0
        self._is_closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        """Return when queries and mutations can run. Raises: FenchelError if no worker gets ready
        in time.
        """
        sandbox = local_sandbox()
        logger.info("user code runs with: %s", ", ".join(sandbox.in_force))
        if sandbox.missing:
            logger.warning("user code runs without: %s", ", ".join(sandbox.missing))
        self._supply.start()
        self._watchdog = asyncio.get_running_loop().create_task(
            self._watch(), name="isolate-watchdog"
        )
        try:
            async with asyncio.timeout(self._settings.worker_start_seconds_max):
                await self._transactions.start()
        except TimeoutError as error:
            await self.close()
            raise internal_error("the isolate workers were not ready in time") from error

    async def close(self, *, drain_seconds: float = 0.0) -> None:
        """Refuse new work, give running work `drain_seconds`, then end all processes."""
        self._is_closing = True
        try:
            async with asyncio.timeout(drain_seconds):
                await self._idle.wait()
        except TimeoutError:
            logger.info("closing the isolate pool with running executions=%d", self._active_count)
        await self._transactions.close()
        await self._actions.close()
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)
        await self._supply.close()
        await self._egress.close()

    # Functions

    async def run_udf(
        self,
        bundle: CodeBundle,
        request: UdfRequest,
        transaction: Transaction,
        host: UdfHost,
        *,
        is_nested: bool = False,
    ) -> UdfOutcome:
        """A query or mutation. If its worker dies, it runs again, alone, from the same snapshot and
        seed.

        Raises: FenchelError for overload and failures of the system.
        """
        call = TransactionCall(
            bundle=bundle,
            request=request,
            transaction=transaction,
            host=host,
            deployment=self._deployment,
        )
        with self._counted():
            outcome = await self._run_to_outcome(
                lambda attempt: self._run_once(call, attempt, is_nested=is_nested),
                _Attempt(),
                request.path.stripped,
            )
        return UdfOutcome(result=outcome) if isinstance(outcome, JsError) else outcome

    async def _run_to_outcome(
        self,
        attempt: Callable[[_Attempt], Awaitable[_T]],
        first: _Attempt,
        function: str | None = None,
    ) -> _T | JsError:
        """What an attempt gives. A lost one is repeated until one that was alone is to blame or the
        time for one execution has passed.

        Raises: FenchelError operational if nobody is to blame and time is up.
        """
        deadline = self._clock.monotonic() + self._settings.execution_seconds_max
        current = first
        while True:
            try:
                return await attempt(current)
            except WorkerLost as lost:
                logger.info("an execution lost its worker attempt=%s reason=%s", current, lost)
                if current.is_blamed(lost):
                    return self._blame(lost, function)
                if self._clock.monotonic() >= deadline:
                    raise internal_error(f"workers die under a function: {lost}") from lost
                current = current.after(lost)

    async def _run_once(
        self, call: TransactionCall, attempt: _Attempt, *, is_nested: bool
    ) -> UdfOutcome:
        """One attempt; what it wrote, and what it counted as read, is gone if its worker dies."""
        is_mutation = call.request.udf_type is UdfType.MUTATION
        usage = call.transaction.usage
        documents_read, bytes_read = usage.documents_read, usage.bytes_read
        anticipation = (
            None if is_nested else self._anticipations.find(call.bundle.key, call.request)
        )
        wish = Reservation(
            bundle_key=call.bundle.key,
            is_alone=attempt.is_alone,
            is_nested=is_nested and not attempt.is_alone,
            is_again=attempt.number > 1,
        )
        async with self._transactions.reserve(wish) as worker:
            if is_mutation:
                call.transaction.begin_subtransaction()
            try:
                again = replace(call, patience=attempt.patience, is_fresh=True)
                outcome = await run_in_transaction(
                    worker,
                    call if attempt.number == 1 else again,
                    self._settings,
                    anticipation,
                )
            except BaseException as error:
                if is_mutation:
                    call.transaction.rollback_subtransaction()
                if isinstance(error, WorkerLost):
                    usage.documents_read, usage.bytes_read = documents_read, bytes_read
                raise
            if is_mutation:
                call.transaction.commit_subtransaction()
            return outcome

    def _blame(self, lost: WorkerLost, function: str | None) -> JsError:
        """The function took its worker with it: by time or by memory. Raises: FenchelError
        operational for what cannot be a function's doing.
        """
        logger.warning(
            "an execution ended its worker function=%s cause=%s reason=%s",
            function,
            lost.cause.value,
            lost,
        )
        if lost.cause is LossCause.BROKEN:
            raise internal_error(f"an isolate worker broke the protocol: {lost}") from lost
        if lost.cause is LossCause.HUNG:
            return timeout_error(self._settings.user_time_seconds_max)
        return memory_error(function)

    async def run_action(
        self,
        bundle: CodeBundle,
        request: UdfRequest,
        callbacks: ActionCallbacks,
        names: FunctionNames,
        exchange: HttpExchange | None = None,
    ) -> UdfOutcome:
        """An action, at most once; an HTTP action with its exchange.

        Raises: FenchelError for overload or if its worker dies; NoMatchingRoutes.
        """
        call = ActionCall(
            bundle=bundle,
            request=request,
            callbacks=callbacks,
            names=names,
            deployment=self._deployment,
            egress=self._egress,
            exchange=exchange,
        )
        with self._counted():
            async with self._actions.reserve(Reservation(bundle_key=bundle.key)) as worker:
                try:
                    return await run_action_on(worker, call, self._settings)
                except WorkerLost as lost:
                    raise internal_error(f"The worker that ran this action died: {lost}") from lost

    # Pushed code

    async def analyze(self, bundle: CodeBundle) -> dict[str, AnalyzedModule] | JsError:
        """Functions, routes and crons of each module (execution 1.7)."""
        return await self._with_own_worker(evaluators.analyze, bundle)

    async def evaluate_schema(self, bundle: CodeBundle) -> str | JsError:
        """JSON text of the schema that the bundle's only module exports."""
        return await self._evaluate(bundle, "schema")

    async def evaluate_auth_config(self, bundle: CodeBundle) -> str | JsError:
        """JSON text of the auth config that the bundle's only module exports."""
        return await self._evaluate(bundle, "authConfig")

    async def evaluate_app_definition(self, bundle: CodeBundle) -> str | JsError:
        """JSON text of the app definition that the bundle's only module exports."""
        return await self._evaluate(bundle, "appDefinition")

    async def _evaluate(self, bundle: CodeBundle, kind: ExecutionKind) -> str | JsError:
        return await self._with_own_worker(
            lambda worker, loaded, settings: evaluators.evaluate(worker, loaded, kind, settings),
            bundle,
        )

    async def _with_own_worker(
        self,
        run: Callable[[Worker, CodeBundle, IsolateSettings], Awaitable[_T]],
        bundle: CodeBundle,
    ) -> _T | JsError:
        """Run on a process that nothing else uses, and end it: what was pushed is not yet trusted
        to be sane.
        """

        async def attempt(_: _Attempt) -> _T | JsError:
            worker = await self._supply.take(lambda _: None)
            try:
                return await run(worker, bundle, self._settings)
            finally:
                worker.process.kill("its evaluation has ended")

        with self._counted():
            async with self._evaluations:
                return await self._run_to_outcome(attempt, _Attempt(is_alone=True))

    # Watching

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """One running request. Raises: WorkerOverloaded if the pool is closing."""
        if self._is_closing:
            raise overloaded("WorkerOverloaded", TOO_MANY_REQUESTS)
        self._active_count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active_count -= 1
            if self._active_count == 0:
                self._idle.set()

    def statistics(self) -> PoolStatistics:
        """What the pool does at this moment."""
        return PoolStatistics(
            running_transactions=self._transactions.active_count,
            running_actions=self._actions.active_count,
            waiting=self._transactions.waiting_count + self._actions.waiting_count,
            workers=len(self._supply.workers()),
        )

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(_WATCH_SECONDS)
            now = self._clock.monotonic()
            for worker in self._supply.workers():
                worker.watch(now)
            self._actions.relieve()
            self._transactions.replace_worn()
            self._actions.replace_worn()
