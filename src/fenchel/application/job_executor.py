"""Running scheduled functions when they are due (execution 6.1).

A mutation and its job's completion are one transaction; an action runs at most once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from fenchel.application.calls import FunctionCaller
from fenchel.application.due_loop import DueLoop
from fenchel.application.executions import Invocation
from fenchel.application.executor_parts import ExecutorParts
from fenchel.application.transactions import Result, Work, run_transaction
from fenchel.application.waiting import backoff_seconds
from fenchel.auth import System
from fenchel.database import ROOT, Transaction
from fenchel.errors import ConflictError, ErrorKind, FenchelError
from fenchel.function_runner import AllowedVisibility
from fenchel.model import (
    JobRow,
    JobState,
    ScheduledJob,
    finished,
    get_job,
    list_active_namespaces,
    list_unfinished,
    load_args,
    replace_job,
)
from fenchel.runtime import Runtime
from fenchel.udf import JsError

_log = logging.getLogger(__name__)

_RETRY_SECONDS_INITIAL = 0.5
_RETRY_SECONDS_MAX = 7_200.0
_INTERRUPTED = "Transient error while executing action"


class JobExecutor:
    """`loop` runs what is due, `scheduler_parallelism` jobs at once; an action never runs twice."""

    def __init__(self, parts: ExecutorParts) -> None:
        self._parts = parts
        self.loop: DueLoop[ScheduledJob] = DueLoop(
            name="scheduled job",
            parts=parts,
            metrics=parts.metrics.jobs,
            parallelism=parts.runtime.settings.application.scheduler_parallelism,
            list_next=_list_next,
            run_row=self._run_job,
        )

    async def fail_interrupted(self) -> None:
        """End the actions that a former process had in progress: an action never runs twice.

        Call once, before the loop runs.
        """
        tx = self._parts.database.begin()
        # A job begins after its time, and its beginning is a commit: none of those that still wait
        # for their time is looked at, however many there are.
        for job in await _list_next(tx, None, 0, through_ns=tx.begin_ts):
            if job.row.state.type == "inProgress":
                await self._settle(job, _recover)

    async def _run_job(self, job: ScheduledJob) -> None:
        try:
            tx = self._parts.database.begin()
            current = await _reload_due(tx, job)
            if current is None:
                return
            function = await self._parts.function_runner.find_function(tx, job.row.path)
            # Running a missing function as a mutation gives the error that says so.
            match function.udf_type if function else "Mutation":
                case "Mutation":
                    await self._run_mutation(current, tx)
                case "Action":
                    await self._run_action(job, await load_args(tx, job))
                case "Query":
                    message = f"Unsupported function type for {job.row.path}: Query"
                    await self._finish(job, JobState("failed", error=message))
        except Exception:  # noqa: BLE001 - the outermost frame of a job's task
            _log.exception("scheduled job failed job=%s", job.id_text)
            self._record(job, "system_error")
            await self._settle(job, _recover)

    async def _run_mutation(self, job: ScheduledJob, tx: Transaction) -> None:
        """Run until it commits, fails by itself or is canceled, however often it conflicts; first
        in `tx`, which has the job as it is given.
        """
        invocation = self._invocation(job, await load_args(tx, job))
        current: ScheduledJob | None = job
        attempt = 0
        while current is not None:
            try:
                error = await self._attempt_mutation(current, invocation, tx, attempt)
            except ConflictError as conflict:
                await self._parts.wait_after_conflict(conflict, attempt)
                attempt += 1
                tx = self._parts.database.begin()
                current = await _reload_due(tx, job)
                continue
            if error is None:
                self._record(job, "success", attempt)
            else:
                await self._finish(job, JobState("failed", error=error.message), attempt)
            return

    async def _attempt_mutation(
        self, job: ScheduledJob, invocation: Invocation, tx: Transaction, attempt: int
    ) -> JsError | None:
        """None after a commit."""
        # Seen by the mutation itself only: the transaction ends in success or not at all.
        in_progress = msgspec.structs.replace(job.row, state=JobState("inProgress"))
        await replace_job(tx, job, in_progress)
        request, outcome = await self._parts.mutations.execute(invocation, tx)
        if isinstance(outcome.result, JsError):
            self._parts.executions.record_outcome(invocation, request, outcome, transaction=tx)
            return outcome.result
        now_ns = self._parts.runtime.clock.now_ns()
        success = finished(job.row, JobState("success"), now_ns=now_ns)
        await replace_job(tx, job, success)
        run = await self._parts.mutations.commit(
            invocation, request, tx, outcome, attempt, retries_max=None
        )
        result = run.outcome.result
        return result if isinstance(result, JsError) else None

    async def _run_action(self, job: ScheduledJob, args_json: str) -> None:
        """Run once. Only an action that never began is put back on the schedule."""
        if not await self._mark_in_progress(job):
            return
        try:
            outcome = await self._parts.actions.run(self._invocation(job, args_json))
        except FenchelError as error:
            if error.kind is not ErrorKind.REJECTED_BEFORE_EXECUTION:
                raise
            self._record(job, "system_error")
            await self._settle(job, _postpone)
            return
        match outcome.result:
            case JsError(message=message):
                await self._finish(job, JobState("failed", error=message))
            case _:
                await self._finish(job, JobState("success"))

    def _record(self, job: ScheduledJob, status: str, conflicts: int = 0) -> None:
        lost_attempts = job.row.attempts.system_errors + conflicts
        self._parts.metrics.jobs.record_result(status, lost_attempts)

    async def _mark_in_progress(self, job: ScheduledJob) -> bool:
        """False if the job was canceled meanwhile."""

        async def work(tx: Transaction) -> bool:
            current = await _reload(tx, job)
            if current is None or current.row.state.type != "pending":
                return False
            state = JobState("inProgress")
            await replace_job(tx, job, msgspec.structs.replace(current.row, state=state))
            return True

        return await self._transact(work)

    async def _finish(self, job: ScheduledJob, state: JobState, conflicts: int = 0) -> None:
        """End the job, unless it was canceled while it ran."""

        def end(row: JobRow, runtime: Runtime) -> JobRow:
            return finished(row, state, now_ns=runtime.clock.now_ns())

        await self._settle(job, end)
        self._record(job, state.type, conflicts)

    async def _settle(self, job: ScheduledJob, change: Callable[[JobRow, Runtime], JobRow]) -> None:
        """Change an unfinished job's row in a transaction of its own."""

        async def work(tx: Transaction) -> None:
            current = await _reload(tx, job)
            if current is not None and not current.row.is_finished:
                await replace_job(tx, job, change(current.row, self._parts.runtime))

        await self._transact(work)

    async def _transact(self, work: Work[Result]) -> Result:
        return await run_transaction(
            self._parts.database, self._parts.runtime, work, write_source="_system/scheduled_jobs"
        )

    def _invocation(self, job: ScheduledJob, args_json: str) -> Invocation:
        return Invocation(
            path=job.row.path,
            args_json=args_json,
            identity=System(),
            caller=FunctionCaller.SCHEDULER,
            visibility=AllowedVisibility.ALL,
            request_id=self._parts.executions.new_request_id(),
            scheduled_job=job.id_text,
            scheduling_component=job.namespace,
        )


async def _list_next(
    tx: Transaction, limit: int | None, from_ns: int, *, through_ns: int | None = None
) -> Sequence[ScheduledJob]:
    """Unfinished jobs of all mounted components from that time on, ascending by their time."""
    jobs = [
        job
        for namespace in await list_active_namespaces(tx)
        for job in await list_unfinished(
            tx, limit=limit, from_ns=from_ns, through_ns=through_ns, namespace=namespace
        )
    ]
    return sorted(jobs, key=lambda job: job.due_ns)[:limit]


async def _reload_due(tx: Transaction, job: ScheduledJob) -> ScheduledJob | None:
    """A job that was due lately, if it still is to run: it may be canceled, or its component
    unmounted, whose jobs wait.
    """
    current = await _reload(tx, job)
    if current is None or not current.is_pending:
        return None
    is_active = job.namespace == ROOT or job.namespace in await list_active_namespaces(tx)
    return current if is_active else None


async def _reload(tx: Transaction, job: ScheduledJob) -> ScheduledJob | None:
    """The job as it stands in `tx`; None if its row is gone."""
    return await get_job(tx, job.id_text, namespace=job.namespace)


def _recover(row: JobRow, runtime: Runtime) -> JobRow:
    """The row after its run was lost: a mutation had no effect and is tried again, an action is
    not.
    """
    if row.state.type == "inProgress":
        state = JobState("failed", error=_INTERRUPTED)
        return finished(row, state, now_ns=runtime.clock.now_ns())
    return _postpone(row, runtime)


def _postpone(row: JobRow, runtime: Runtime) -> JobRow:
    """The row of a job that is to be tried again after a failure of the system."""
    attempts = row.attempts
    delay_seconds = backoff_seconds(
        runtime,
        attempts.system_errors,
        initial_seconds=_RETRY_SECONDS_INITIAL,
        seconds_max=_RETRY_SECONDS_MAX,
    )
    return msgspec.structs.replace(
        row,
        state=JobState("pending"),
        next_ts=runtime.clock.now_ns() + int(delay_seconds * 1e9),
        attempts=msgspec.structs.replace(attempts, system_errors=attempts.system_errors + 1),
    )
