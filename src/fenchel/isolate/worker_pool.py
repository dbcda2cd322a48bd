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
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from fenchel.auth import System
from fenchel.database import Transaction
from fenchel.definitions import AnalyzedModule
from fenchel.errors import FenchelError, internal_error, overloaded, rejected_before_execution
from fenchel.isolate import evaluators
from fenchel.isolate.action_execution import ActionCall, ActionRun
from fenchel.isolate.anticipation import Anticipations
from fenchel.isolate.attempts import PATIENCES, Attempt
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.execution import LossCause, WorkerLost
from fenchel.isolate.fresh_functions import FreshFunctions
from fenchel.isolate.host import FunctionNames, UdfHost
from fenchel.isolate.long_functions import LongFunctions
from fenchel.isolate.messages import ExecutionKind
from fenchel.isolate.metadata import Deployment
from fenchel.isolate.metrics import IsolateMetrics, PoolStatistics, WorkerEnd
from fenchel.isolate.network import Egress
from fenchel.isolate.outcomes import memory_error, timeout_error
from fenchel.isolate.sandbox import local_sandbox
from fenchel.isolate.snapshot_builder import SnapshotBuilder
from fenchel.isolate.spawn import worker_command
from fenchel.isolate.transaction_execution import TransactionCall, run_in_transaction
from fenchel.isolate.warm_scripts import WarmScripts
from fenchel.isolate.worker import Worker
from fenchel.isolate.worker_lane import TOO_MANY_REQUESTS, Reservation, WorkerLane, action_crowd
from fenchel.isolate.worker_supply import WorkerSupply
from fenchel.runtime import Deadlines, Runtime
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import ActionCallbacks, HttpExchange, JsError, UdfOutcome, UdfRequest, UdfType

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 0.5
_LOOK_SECONDS = 0.01
_WARM_SECONDS_MAX = 10.0
_EVALUATIONS_MAX = 4
# Who ends so has computed for as long as it could.
_LONG_CAUSES = frozenset({LossCause.STARVED, LossCause.HUNG})

_T = TypeVar("_T")


class WorkerPool:
    """Life: `start` until all workers for queries and mutations are ready; then running; `close`
    ends it.

    After `close` began, new work is refused with an overload error; running work may finish until
    its deadline. `snapshot_builder` is the only one: whatever is built waits for its turn there.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        deployment: Deployment,
        command: tuple[str, ...] | None = None,
        snapshot_builder: SnapshotBuilder | None = None,
        metrics: IsolateMetrics | None = None,
    ) -> None:
        self._settings = runtime.settings.isolate
        self.snapshot_builder = snapshot_builder or SnapshotBuilder(self._settings)
        self._clock = runtime.clock
        self._deployment = deployment
        self._metrics = metrics = metrics or IsolateMetrics(CollectorRegistry())
        command = command or worker_command(self._settings)
        self._supply = WorkerSupply(
            lambda on_death: Worker.start(command, self._settings, self._clock, metrics, on_death),
            self._clock,
        )
        count = self._settings.worker_count or len(os.sched_getaffinity(0))
        self._transactions = WorkerLane(
            "transactions",
            count,
            self._supply,
            self._settings,
            metrics,
            self._clock,
            idle_count_min=1,
        )
        self._actions = WorkerLane(
            "actions",
            count,
            self._supply,
            self._settings,
            metrics,
            self._clock,
            crowd=action_crowd(self._settings, count),
        )
        # By patience, in which the part for user time grows.
        self._deadlines = {
            patience: Deadlines(
                patience * self._settings.user_time_seconds_max
                + self._settings.system_time_seconds_max
            )
            for patience in PATIENCES
        }
        self._egress = Egress(runtime.settings.egress, metrics, self._clock)
        self._anticipations = Anticipations()
        self._long_functions = LongFunctions()
        # By the longest turn: the sum of many short ones holds nobody up.
        self._long_actions = LongFunctions()
        self._fresh_functions = FreshFunctions()
        self._warm_scripts = WarmScripts(
            self._settings, self._clock, self.snapshot_builder.build_warm_script
        )
        self._evaluations = asyncio.Semaphore(_EVALUATIONS_MAX)
        self._watchdogs: tuple[asyncio.Task[None], ...] = ()
        self._active_count = 0
        self._is_closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._has_work = asyncio.Event()

    async def start(self) -> None:
        """Return when queries and mutations can run. Raises: FenchelError if no worker gets ready
        in time.
        """
        sandbox = local_sandbox()
        logger.info("user code runs with: %s", ", ".join(sandbox.in_force))
        if sandbox.missing:
            logger.warning("user code runs without: %s", ", ".join(sandbox.missing))
        self._supply.start()
        loop = asyncio.get_running_loop()
        self._watchdogs = (
            loop.create_task(self._watch(), name="isolate-watchdog"),
            loop.create_task(self._look(), name="isolate-turn-watch"),
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
        for task in self._watchdogs:
            task.cancel()
        await asyncio.gather(*self._watchdogs, return_exceptions=True)
        await self._warm_scripts.close()
        await self._supply.close()
        await self._egress.close()

    async def warm(self, bundle: CodeBundle) -> None:
        """Load a bundle wherever queries and mutations may run next: returns when it is there, or
        when that takes too long; what cannot be loaded is told to its first caller.
        """
        try:
            async with asyncio.timeout(_WARM_SECONDS_MAX):
                await asyncio.gather(
                    self._transactions.warm(bundle),
                    self._actions.warm(bundle),
                    self._supply.warm(bundle),
                )
        except (TimeoutError, FenchelError, WorkerLost) as error:
            logger.warning("no bundle ahead key=%s error=%r", bundle.key[:12], error)

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
        self._begin(is_new=request.context.is_root and not is_nested)
        try:
            outcome = await self._run_to_outcome(
                lambda attempt: self._run_once(call, attempt, is_nested=is_nested),
                Attempt(),
                request.path.stripped,
            )
        finally:
            self._end()
        return UdfOutcome(result=outcome) if isinstance(outcome, JsError) else outcome

    async def _run_to_outcome(
        self,
        attempt: Callable[[Attempt], Awaitable[_T]],
        first: Attempt,
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
                self._metrics.record_lost(lost.cause.value)
                if current.is_blamed(lost):
                    return self._blame(lost, function)
                if self._clock.monotonic() >= deadline:
                    return self._give_up(lost)
                current = current.after(lost)

    async def _run_once(
        self, call: TransactionCall, attempt: Attempt, *, is_nested: bool
    ) -> UdfOutcome:
        """One attempt; what it wrote and read is gone if its worker dies, or if its realm gives it
        up.
        """
        is_mutation = call.request.udf_type is UdfType.MUTATION
        mark = call.transaction.mark_reads()
        why_fresh = self._fresh_functions.find(call.bundle.key, call.request.path)
        anticipation = (
            None if is_nested else self._anticipations.find(call.bundle.key, call.request)
        )
        wish = Reservation(
            bundle_key=call.bundle.key,
            udf_type=call.request.udf_type.value,
            is_alone=attempt.is_alone,
            is_nested=is_nested and not attempt.is_alone,
            is_again=attempt.number > 1,
            is_long=self._long_functions.has(call.bundle.key, call.request.path),
            client=call.request.client,
        )
        worker = await self._transactions.acquire(wish)
        warm_script = self._warm_scripts.find(call.bundle)
        if warm_script is not None:
            worker.offer_warm_script(call.bundle.key, warm_script)
        if is_mutation:
            call.transaction.begin_subtransaction()
        try:
            outcome = await run_in_transaction(
                worker,
                _call_of(attempt, call, is_fresh=why_fresh is not None),
                self._settings,
                self._deadlines[attempt.patience],
                anticipation,
            )
        except BaseException as error:
            if is_mutation:
                call.transaction.rollback_subtransaction()
            if isinstance(error, WorkerLost):
                if error.cause in _LONG_CAUSES:
                    self._note_long(call, self._settings.user_time_seconds_max)
                if error.cause is LossCause.REALM:
                    self._fresh_functions.note(call.bundle.key, call.request.path, error.fault)
                call.transaction.restore_reads(mark)
            raise
        finally:
            self._transactions.release(worker, wish)
        if is_mutation:
            call.transaction.commit_subtransaction()
        self._note_long(call, outcome.user_seconds)
        if why_fresh is None or attempt.number > 1:
            return outcome
        return replace(outcome, why_fresh=why_fresh)

    def _note_long(self, call: TransactionCall, user_seconds: float) -> None:
        self._long_functions.note(call.bundle.key, call.request.path, user_seconds)

    def _give_up(self, lost: WorkerLost) -> JsError:
        """There is no more time for another attempt. Raises: FenchelError of the fitting kind."""
        if lost.cause is LossCause.STARVED:
            return timeout_error(self._settings.user_time_seconds_max)
        if lost.cause is LossCause.MOVED:
            raise overloaded("WorkerOverloaded", TOO_MANY_REQUESTS) from lost
        raise internal_error(f"workers die under a function: {lost}") from lost

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
        return memory_error(function, heap_mebibytes_max=self._settings.heap_mebibytes_max)

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
        self._begin(is_new=request.context.is_root)
        try:
            return await self._run_action(call)
        finally:
            self._end()

    async def _run_action(self, call: ActionCall) -> UdfOutcome:
        """It begins anew only where nothing of it was heard."""
        function = call.bundle.key, call.request.path
        run = ActionRun(call, self._settings, partial(self._long_actions.note_running, *function))
        attempt = Attempt()
        try:
            while True:
                wish = Reservation(
                    bundle_key=call.bundle.key,
                    udf_type=call.request.udf_type.value,
                    is_nested=not call.request.context.is_root,
                    is_again=attempt.number > 1,
                    # The routes of all HTTP actions are one function.
                    is_long=call.exchange is None and self._long_actions.has(*function),
                    client=call.request.client,
                    is_patient=isinstance(call.request.identity, System),
                )
                async with self._actions.reserve(wish) as worker:
                    try:
                        return await run.run_on(worker, is_movable=attempt.is_movable)
                    except WorkerLost as lost:
                        self._metrics.record_lost(lost.cause.value)
                        if lost.cause is not LossCause.MOVED:
                            message = f"The worker that ran this action died: {lost}"
                            raise internal_error(message) from lost
                        attempt = attempt.after(lost)
        finally:
            self._long_actions.note(*function, run.longest_turn_seconds)
            run.close()

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
            lambda worker, loaded, settings, patience: evaluators.evaluate(
                worker, loaded, kind, settings, patience
            ),
            bundle,
        )

    async def _with_own_worker(
        self,
        run: Callable[[Worker, CodeBundle, IsolateSettings, int], Awaitable[_T]],
        bundle: CodeBundle,
    ) -> _T | JsError:
        """Run on a process that nothing else uses, and end it: what was pushed is not yet trusted
        to be sane.
        """

        async def attempt(attempt: Attempt) -> _T | JsError:
            worker = await self._supply.take(lambda _: None)
            try:
                return await run(worker, bundle, self._settings, attempt.patience)
            finally:
                worker.end_reason = WorkerEnd.EVALUATED
                worker.process.kill("its evaluation has ended")

        self._begin()
        try:
            async with self._evaluations:
                return await self._run_to_outcome(attempt, Attempt(is_alone=True))
        finally:
            self._end()

    # Watching

    def _begin(self, *, is_new: bool = True) -> None:
        """One more running request, until `_end`. Raises: WorkerOverloaded if the pool is closing
        and this is no part of one that runs.
        """
        if self._is_closing and is_new:
            raise rejected_before_execution("WorkerOverloaded", TOO_MANY_REQUESTS)
        self._active_count += 1
        self._idle.clear()
        self._has_work.set()

    def _end(self) -> None:
        self._active_count -= 1
        if self._active_count == 0:
            self._idle.set()
            self._has_work.clear()

    def statistics(self) -> PoolStatistics:
        """What the pool does at this moment."""
        workers = self._supply.workers()
        return PoolStatistics(
            running_transactions=self._transactions.active_count,
            running_actions=self._actions.active_count,
            transactions_max=self._transactions.places_max,
            actions_max=self._actions.places_max,
            waiting=self._transactions.waiting_count + self._actions.waiting_count,
            workers=len(workers),
            resident_bytes=sum(worker.resident_bytes for worker in workers),
        )

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(_WATCH_SECONDS)
            now = self._clock.monotonic()
            for worker in self._supply.workers():
                worker.watch(now)
            for lane in (self._transactions, self._actions):
                lane.replace_worn()
                lane.retire_idle(now)

    async def _look(self) -> None:
        """Closer than `_watch`, and only while something runs."""
        while True:
            await self._has_work.wait()
            await self._clock.sleep(_LOOK_SECONDS)
            now = self._clock.monotonic()
            for worker in self._supply.workers():
                worker.look(now)
            self._transactions.relieve(now)
            self._actions.relieve(now)


def _call_of(attempt: Attempt, call: TransactionCall, *, is_fresh: bool) -> TransactionCall:
    """Who lost a worker for another reason than a neighbour's turn does not run in old realms."""
    if attempt.number == 1 and not is_fresh:
        return call
    return replace(
        call,
        patience=attempt.patience,
        is_fresh=is_fresh or attempt.number - attempt.moves > 1,
        is_movable=attempt.is_movable,
    )
