"""One query or mutation on one worker, from EXECUTE to outcome."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec

from fenchel.database import Transaction
from fenchel.errors import FenchelError, internal_error
from fenchel.isolate.anticipation import Anticipation, CallRecorder, Turn
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.execution import Execution, LogLines, LossCause, WorkerLost
from fenchel.isolate.frames import ProtocolError
from fenchel.isolate.host import UdfHost
from fenchel.isolate.messages import (
    AnsweredCall,
    ExecuteHeader,
    ExecutionKind,
    Outcome,
)
from fenchel.isolate.metadata import Deployment
from fenchel.isolate.outcomes import (
    check_not_starved,
    decode_log_line,
    decode_result,
    function_result,
    system_timeout_error,
    timeout_error,
)
from fenchel.isolate.syscalls import TransactionSyscalls
from fenchel.isolate.worker import Worker
from fenchel.runtime import Deadlines
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import JsError, LogLine, UdfOutcome, UdfRequest, UdfType


class TransactionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A query or mutation with everything it runs against. `patience`: how many times its user time
    a turn may take by the clock. `is_fresh` keeps it out of realms that ran something before;
    `is_movable`: it is lost rather than made to wait for another's turn.
    """

    bundle: CodeBundle
    request: UdfRequest
    transaction: Transaction
    host: UdfHost
    deployment: Deployment
    patience: int = 1
    is_fresh: bool = False
    is_movable: bool = True


class _Mispredicted(Exception):
    """The execution did not make all the calls that were answered ahead."""


async def run_in_transaction(
    worker: Worker,
    call: TransactionCall,
    settings: IsolateSettings,
    deadlines: Deadlines,
    anticipation: Anticipation | None,
) -> UdfOutcome:
    """The outcome; reads and writes stay in the transaction. With `anticipation`, a mutation's
    transaction has a level that began right before.

    Raises: WorkerLost; FenchelError for failures of the system. Cancellation stops the JavaScript
    too.
    """
    user_seconds_max = settings.user_time_seconds_max
    deadline = deadlines.start()
    run = _Run(worker, call, settings)
    try:
        with deadline:
            if anticipation is None:
                return await run.execute()
            return await run.execute_anticipating(anticipation)
    except TimeoutError:
        if not deadline.has_expired:
            raise
        is_ours = run.is_waiting_for_us
        return UdfOutcome(
            result=system_timeout_error() if is_ours else timeout_error(user_seconds_max)
        )


class _Run:
    """One call on one worker: at most two executions, of which the first did not count."""

    def __init__(self, worker: Worker, call: TransactionCall, settings: IsolateSettings) -> None:
        self._worker = worker
        self._call = call
        self._settings = settings
        # Whether it has asked for something that it has not got yet; at the end, whether it had.
        self.is_waiting_for_us = True

    async def execute_anticipating(self, anticipation: Anticipation) -> UdfOutcome:
        """As `execute`, with the same reads, writes and result, but fewer round trips."""
        request, transaction = self._call.request, self._call.transaction
        if predicted := anticipation.predict(request):
            mark = transaction.mark_reads()
            try:
                outcome = await self.execute(predicted)
            except _Mispredicted:
                anticipation.record_run(is_miss=True)
                if request.udf_type is UdfType.MUTATION:
                    transaction.rollback_subtransaction()
                    transaction.begin_subtransaction()
                transaction.restore_reads(mark)
            else:
                anticipation.record_run(is_miss=False)
                return outcome
        if not anticipation.wants_run:
            anticipation.record_run(is_miss=False)
            return await self.execute()
        recorder = CallRecorder()
        outcome = await self.execute(recorder=recorder)
        anticipation.learn(request, recorder.turns)
        return outcome

    async def execute(
        self, predicted: Sequence[Turn] = (), recorder: CallRecorder | None = None
    ) -> UdfOutcome:
        """Raises: _Mispredicted if not exactly the predicted calls were made first."""
        call = self._call
        syscalls = TransactionSyscalls(call.request, call.transaction, call.host, call.deployment)
        answered = await syscalls.run_ahead(predicted) if predicted else []
        outcome = await self._converse(syscalls, answered, recorder)
        if recorder is not None and self._may_look_ahead(syscalls):
            recorder.discard()
        return _finish(self._worker, call.request, outcome, syscalls, self._settings)

    async def _converse(
        self,
        syscalls: TransactionSyscalls,
        answered: list[AnsweredCall],
        recorder: CallRecorder | None,
    ) -> Outcome:
        call, worker = self._call, self._worker
        kind: ExecutionKind = "query" if call.request.udf_type is UdfType.QUERY else "mutation"
        header = execute_header(
            call.request,
            kind,
            self._settings.user_time_seconds_max,
            patience=call.patience,
            is_fresh=call.is_fresh,
        )
        execution = await worker.execute(
            call.bundle,
            header,
            call.request.args_json,
            syscalls,
            answered,
            is_movable=call.is_movable,
        )
        try:
            outcome = await self._answer_until_outcome(execution, syscalls, len(answered), recorder)
            await call.host.read_environment_variables(call.transaction, outcome.header.env_read)
        finally:
            self.is_waiting_for_us = execution.outstanding > 0
            worker.release(execution)
        return outcome

    async def _answer_until_outcome(
        self,
        execution: Execution,
        syscalls: TransactionSyscalls,
        answered_count: int,
        recorder: CallRecorder | None,
    ) -> Outcome:
        worker = self._worker
        while True:
            event = await execution.next_event()
            if isinstance(event, Outcome):
                _check_not_lost(execution, event)
                self._check_predicted(event.header.answered_ahead, answered_count, syscalls)
                return event
            if isinstance(event, LogLines):
                worker.process.kill("log lines of a query or mutation before its outcome")
                raise internal_error("an isolate worker broke the protocol")
            # Calls are numbered from 0, those that were answered ahead too.
            self._check_predicted(min(event[0].id, answered_count), answered_count, syscalls)
            if recorder is not None:
                recorder.add(event)
            try:
                meta, payloads = await syscalls.run_batch(event)
            except ProtocolError as error:
                worker.process.kill(str(error))
                raise internal_error("an isolate worker broke the protocol") from error
            await worker.send_results(execution, meta, payloads)

    def _check_predicted(
        self, made_count: int, answered_count: int, syscalls: TransactionSyscalls
    ) -> None:
        """Raises: _Mispredicted."""
        if answered_count and (made_count != answered_count or self._may_look_ahead(syscalls)):
            raise _Mispredicted

    def _may_look_ahead(self, syscalls: TransactionSyscalls) -> bool:
        """A synchronous call of a mutation could see writes that come after it."""
        return syscalls.has_sync_calls and self._call.request.udf_type is UdfType.MUTATION


def _check_not_lost(execution: Execution, outcome: Outcome) -> None:
    """Executions share an isolate and its memory: the one that met the limit need not be the one
    that used it up, unless it was the only one. Raises: WorkerLost.
    """
    kind = outcome.header.kind
    if kind == "again":
        fault = outcome.header.error.message if outcome.header.error else "no reason"
        reason = f"its realm was not fresh enough: {fault}"
        raise WorkerLost(reason, LossCause.REALM, fault=fault)
    check_not_starved(outcome)
    if kind == "system" or (kind == "memory" and not execution.was_sole):
        raise WorkerLost("its isolate ran out of memory", LossCause.ISOLATE)


def _finish(
    worker: Worker,
    request: UdfRequest,
    outcome: Outcome,
    syscalls: TransactionSyscalls,
    settings: IsolateSettings,
) -> UdfOutcome:
    header = outcome.header
    result = decode_result(
        outcome,
        user_seconds_max=settings.user_time_seconds_max,
        heap_mebibytes_max=settings.heap_mebibytes_max,
        function=request.path.stripped,
    )
    try:
        syscalls.record_consumed(header.consumed)
    except ProtocolError as error:
        worker.process.kill(str(error))
        raise internal_error("an isolate worker broke the protocol") from error
    except FenchelError as error:
        if not error.is_developer_error:
            raise
        result = JsError(message=f"Uncaught Error: {error.message}")
    lines = [decode_log_line(line) for line in header.log_lines]
    return UdfOutcome(
        result=function_result(result),
        log_lines=merge_log_lines(lines, syscalls.nested_log_lines, settings.log_lines_max),
        audit_lines=tuple(syscalls.audit.lines),
        journal=syscalls.journal,
        observed_time=header.observed_time or syscalls.observed_time,
        observed_randomness=header.observed_randomness or syscalls.observed_randomness,
        observed_identity=syscalls.observed_identity,
        user_seconds=header.user_ms / 1000,
        memory_bytes=header.heap_bytes,
        realm=header.realm,
        why_fresh=header.why_fresh,
    )


def execute_header(
    request: UdfRequest,
    kind: ExecutionKind,
    user_seconds_max: float,
    *,
    patience: int = 1,
    is_fresh: bool = True,
) -> ExecuteHeader:
    return ExecuteHeader(
        kind=kind,
        module=request.path.module,
        function=request.path.function,
        seed=request.seed.hex(),
        unix_ms=request.unix_ms,
        request_id=request.context.request_id,
        execution_id=request.context.execution_id,
        user_timeout_ms=int(user_seconds_max * 1000),
        patience=patience,
        is_fresh=is_fresh,
    )


def merge_log_lines(
    own: Sequence[LogLine], nested: Sequence[LogLine], count_max: int
) -> tuple[LogLine, ...]:
    """All lines in the order in which they were written, the first `count_max` of them."""
    if not own and not nested:
        return ()
    merged = heapq.merge(own, nested, key=lambda line: line.timestamp_ms)
    return tuple(line for line, _ in zip(merged, range(count_max), strict=False))
