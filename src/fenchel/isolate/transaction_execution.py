"""One query or mutation on one worker, from EXECUTE to outcome."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from fenchel.database import Transaction
from fenchel.errors import FenchelError, internal_error
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.execution import Execution, LogLines, LossCause, WorkerLost
from fenchel.isolate.frames import ProtocolError
from fenchel.isolate.host import UdfHost
from fenchel.isolate.messages import ExecuteHeader, ExecutionKind, Outcome
from fenchel.isolate.metadata import Deployment
from fenchel.isolate.outcomes import (
    decode_log_line,
    decode_result,
    function_result,
    system_timeout_error,
)
from fenchel.isolate.syscalls import TransactionSyscalls
from fenchel.isolate.worker import Worker
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import JsError, LogLine, UdfOutcome, UdfRequest, UdfType


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionCall:
    """A query or mutation with everything it runs against."""

    bundle: CodeBundle
    request: UdfRequest
    transaction: Transaction
    host: UdfHost
    deployment: Deployment


async def run_in_transaction(
    worker: Worker, call: TransactionCall, settings: IsolateSettings
) -> UdfOutcome:
    """The outcome; reads and writes stay in the transaction.

    Raises: WorkerLost; FenchelError for failures of the system. Cancellation stops the JavaScript
    too.
    """
    syscalls = TransactionSyscalls(call.request, call.transaction, call.host, call.deployment)
    deadline = asyncio.timeout(settings.execution_seconds_max)
    try:
        async with deadline:
            outcome = await _converse(worker, call, syscalls, settings)
    except TimeoutError:
        if not deadline.expired():
            raise
        return UdfOutcome(result=system_timeout_error())
    return _finish(worker, outcome, syscalls, settings)


async def _converse(
    worker: Worker, call: TransactionCall, syscalls: TransactionSyscalls, settings: IsolateSettings
) -> Outcome:
    kind: ExecutionKind = "query" if call.request.udf_type is UdfType.QUERY else "mutation"
    header = execute_header(call.request, kind, settings.user_time_seconds_max)
    execution = await worker.execute(call.bundle, header, call.request.args_json, syscalls)
    try:
        outcome = await _answer_until_outcome(worker, execution, syscalls)
        await call.host.read_environment_variables(call.transaction, outcome.header.env_read)
    finally:
        worker.release(execution)
    return outcome


async def _answer_until_outcome(
    worker: Worker, execution: Execution, syscalls: TransactionSyscalls
) -> Outcome:
    while True:
        event = await execution.next_event()
        if isinstance(event, Outcome):
            _check_not_lost(worker, event)
            return event
        if isinstance(event, LogLines):
            worker.process.kill("log lines of a query or mutation before its outcome")
            raise internal_error("an isolate worker broke the protocol")
        try:
            meta, payloads = await syscalls.run_batch(event)
        except ProtocolError as error:
            worker.process.kill(str(error))
            raise internal_error("an isolate worker broke the protocol") from error
        await worker.send_results(execution, meta, payloads)


def _check_not_lost(worker: Worker, outcome: Outcome) -> None:
    """Executions share an isolate and its memory: the one that met the limit need not be the one
    that used it up, unless it was alone. Raises: WorkerLost.
    """
    kind = outcome.header.kind
    if kind == "system" or (kind == "memory" and not worker.is_reserved_alone):
        raise WorkerLost("its isolate ran out of memory", LossCause.ISOLATE)


def _finish(
    worker: Worker, outcome: Outcome, syscalls: TransactionSyscalls, settings: IsolateSettings
) -> UdfOutcome:
    header = outcome.header
    result = decode_result(outcome, user_seconds_max=settings.user_time_seconds_max)
    try:
        syscalls.record_consumed(header.consumed)
    except ProtocolError as error:
        worker.process.kill(str(error))
        raise internal_error("an isolate worker broke the protocol") from error
    except FenchelError as error:
        if not error.is_developer_error:
            raise
        result = JsError(message=f"Uncaught Error: {error.message}")
    lines = (decode_log_line(line) for line in header.log_lines)
    return UdfOutcome(
        result=function_result(result),
        log_lines=merge_log_lines(lines, syscalls.nested_log_lines, settings.log_lines_max),
        journal=syscalls.journal,
        observed_time=header.observed_time or syscalls.observed_time,
        observed_randomness=header.observed_randomness or syscalls.observed_randomness,
        observed_identity=syscalls.observed_identity,
        user_seconds=header.user_ms / 1000,
        memory_bytes=header.heap_bytes,
        context_reused=header.context_reused,
    )


def execute_header(
    request: UdfRequest, kind: ExecutionKind, user_seconds_max: float
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
    )


def merge_log_lines(
    own: Iterable[LogLine], nested: Iterable[LogLine], count_max: int
) -> tuple[LogLine, ...]:
    """All lines in the order in which they were written, the first `count_max` of them."""
    merged = heapq.merge(own, nested, key=lambda line: line.timestamp_ms)
    return tuple(line for line, _ in zip(merged, range(count_max), strict=False))
