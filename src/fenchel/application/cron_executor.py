"""Running crons when they are due (execution 6.2).

A cron never runs twice at the same time. A mutation and the entry that it ran are one transaction;
an action runs at most once for each time that it is due.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fenchel.application.calls import FunctionCaller
from fenchel.application.due_loop import DueLoop
from fenchel.application.executions import Invocation
from fenchel.application.executor_parts import ExecutorParts
from fenchel.application.transactions import Result, Work, run_transaction
from fenchel.application.waiting import backoff_seconds
from fenchel.auth import System
from fenchel.database import Transaction
from fenchel.errors import ConflictError, ErrorKind, FenchelError
from fenchel.function_runner import AllowedVisibility
from fenchel.model import (
    CronRow,
    CronRun,
    CronRunLog,
    CronRunState,
    complete_cron_run,
    cron_path,
    get_cron,
    list_active_namespaces,
    list_cron_runs,
    mark_cron_run,
    reload_cron_run,
)
from fenchel.udf import FunctionResult, JsError, UdfOutcome

_log = logging.getLogger(__name__)

_RETRY_SECONDS_INITIAL = 0.5
_RETRY_SECONDS_MAX = 15.0
_LOG_TEXT_MAX = 1_000
_INTERRUPTED = "Transient error while executing action"


class CronExecutor:
    """`loop` runs what is due. Its invariants are those of the rows in `model.cron_jobs`."""

    def __init__(self, parts: ExecutorParts) -> None:
        self._parts = parts
        self._metrics = parts.metrics.crons
        self.loop: DueLoop[CronRun] = DueLoop(
            name="cron",
            parts=parts,
            metrics=parts.metrics.crons,
            parallelism=parts.runtime.settings.application.cron_parallelism,
            list_next=_list_next,
            run_row=self._run_cron,
        )

    async def fail_interrupted(self) -> None:
        """End the runs of actions that a former process had in progress: an action never runs
        twice. Call once, before the loop runs.
        """
        tx = self._parts.database.begin()
        for run in await _list_next(tx, None, 0):
            if not run.is_pending:
                lost = UdfOutcome(result=JsError(message=_INTERRUPTED))
                await self._complete(run, lost, 0.0, attempt=0)

    async def _run_cron(self, run: CronRun) -> None:
        """Run until the run is logged, however often the system fails before that."""
        attempt = 0
        while True:
            try:
                await self._run_once(run, attempt)
            except ConflictError as conflict:
                await self._parts.wait_after_conflict(conflict, attempt)
            except Exception:  # noqa: BLE001 - the outermost frame of a cron's task
                _log.exception("cron failed row=%s attempt=%d", run.id_text, attempt)
                self._metrics.record_result("system_error", attempt)
                await self._parts.runtime.clock.sleep(
                    backoff_seconds(
                        self._parts.runtime,
                        attempt,
                        initial_seconds=_RETRY_SECONDS_INITIAL,
                        seconds_max=_RETRY_SECONDS_MAX,
                    )
                )
            else:
                return
            attempt += 1

    async def _run_once(self, run: CronRun, attempt: int) -> None:
        tx = self._parts.database.begin()
        if not await _is_current(tx, run):
            return
        cron = await get_cron(tx, run)
        invocation = self._invocation(run, cron)
        function = await self._parts.function_runner.find_function(tx, invocation.path)
        if function is not None and function.udf_type == "Action":
            await self._run_action(run, invocation, attempt)
        else:
            # A push may leave a cron without its function: running it says so.
            await self._run_mutation(tx, run, invocation, attempt)

    async def _run_mutation(
        self, tx: Transaction, run: CronRun, invocation: Invocation, attempt: int
    ) -> None:
        request, outcome = await self._parts.mutations.execute(invocation, tx)
        if isinstance(outcome.result, JsError):
            self._parts.executions.record_outcome(invocation, request, outcome, transaction=tx)
            seconds = self._seconds_since(request.unix_ms)
            await self._complete(run, outcome, seconds, attempt=attempt)
            return
        now_ns = self._parts.runtime.clock.now_ns()
        log = _log_entry(run, outcome, self._seconds_since(request.unix_ms))
        missed_count = await complete_cron_run(tx, run, log, now_ns=now_ns)
        committed = await self._parts.mutations.commit(
            invocation, request, tx, outcome, attempt, retries_max=None
        )
        if committed.ts is None:
            seconds = self._seconds_since(request.unix_ms)
            await self._complete(run, committed.outcome, seconds, attempt=attempt)
        else:
            self._record_end(run, outcome, attempt, missed_count)

    async def _run_action(self, run: CronRun, invocation: Invocation, attempt: int) -> None:
        """Only an action that never began is tried again."""
        if not await self._mark(run, CronRunState("inProgress"), expected="pending"):
            return
        start_ms = self._parts.runtime.clock.now_ns() // 1_000_000
        try:
            outcome = await self._parts.actions.run(invocation)
        except FenchelError as error:
            if error.kind is ErrorKind.REJECTED_BEFORE_EXECUTION:
                await self._mark(run, CronRunState("pending"), expected="inProgress")
                raise
            _log.exception("cron action failed row=%s", run.id_text)
            outcome = UdfOutcome(result=JsError(message=_INTERRUPTED))
        await self._complete(run, outcome, self._seconds_since(start_ms), attempt=attempt)

    async def _mark(self, run: CronRun, state: CronRunState, *, expected: str) -> bool:
        """False if the row is not in the expected state any more."""

        async def work(tx: Transaction) -> bool:
            current = await reload_cron_run(tx, run)
            if current is None or current.row.state.type != expected:
                return False
            await mark_cron_run(tx, current, state)
            return True

        return await self._transact(work)

    async def _complete(
        self, run: CronRun, outcome: UdfOutcome, seconds: float, *, attempt: int
    ) -> None:
        """Log a run in a transaction of its own; nothing if a push deleted the cron meanwhile."""
        log = _log_entry(run, outcome, seconds)

        async def work(tx: Transaction) -> int:
            current = await reload_cron_run(tx, run)
            if current is None:
                return 0
            now_ns = self._parts.runtime.clock.now_ns()
            return await complete_cron_run(tx, current, log, now_ns=now_ns)

        self._record_end(run, outcome, attempt, await self._transact(work))

    def _record_end(
        self, run: CronRun, outcome: UdfOutcome, attempt: int, missed_count: int
    ) -> None:
        is_success = isinstance(outcome.result, FunctionResult)
        self._metrics.record_result("success" if is_success else "failed", attempt)
        self._parts.metrics.record_skipped_crons(missed_count)
        if missed_count > 0:
            _log.warning("cron skipped past runs row=%s count=%d", run.id_text, missed_count)

    async def _transact(self, work: Work[Result]) -> Result:
        return await run_transaction(
            self._parts.database, self._parts.runtime, work, write_source="_system/cron_jobs"
        )

    def _seconds_since(self, start_ms: int) -> float:
        return max(0.0, self._parts.runtime.clock.now_ns() / 1e9 - start_ms / 1e3)

    def _invocation(self, run: CronRun, cron: CronRow) -> Invocation:
        return Invocation(
            path=cron_path(cron, namespace=run.namespace),
            args_json=cron.cron_spec.udf_args.decode(),
            identity=System(),
            caller=FunctionCaller.CRON,
            visibility=AllowedVisibility.ALL,
            request_id=self._parts.executions.new_request_id(),
        )


async def _list_next(tx: Transaction, limit: int | None, from_ns: int) -> Sequence[CronRun]:
    """The next runs of all mounted components from that time on, ascending by their time."""
    runs = [
        run
        for namespace in await list_active_namespaces(tx)
        for run in await list_cron_runs(tx, limit=limit, from_ns=from_ns, namespace=namespace)
    ]
    return sorted(runs, key=lambda run: run.due_ns)[:limit]


async def _is_current(tx: Transaction, run: CronRun) -> bool:
    """Whether the run is still what is to happen next: a push may have changed or deleted it."""
    current = await reload_cron_run(tx, run)
    return current is not None and current.row == run.row


def _log_entry(run: CronRun, outcome: UdfOutcome, seconds: float) -> CronRunLog:
    match outcome.result:
        case FunctionResult(value_json=value_json):
            status = {"type": "success", "result": value_json[:_LOG_TEXT_MAX]}
        case JsError(message=message):
            status = {"type": "err", "error": message[:_LOG_TEXT_MAX]}
    lines = [line.pretty[:_LOG_TEXT_MAX] for line in outcome.log_lines]
    return CronRunLog(ts=run.row.next_ts, status=status, log_lines=lines, execution_time=seconds)
