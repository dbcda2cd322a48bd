"""Building execution requests and writing what became of them into the function log."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

from fenchel.application.audit_log import describe_actor, emit_audit_lines
from fenchel.application.calls import FunctionCall, FunctionCaller, HttpActionCall
from fenchel.application.function_log import (
    REPETITION_ID_BYTES,
    Completion,
    Execution,
    FunctionLog,
)
from fenchel.application.metrics import ApplicationMetrics
from fenchel.application.query_cache import CacheMiss
from fenchel.application.usage import UsageTracker
from fenchel.auth import Identity, is_admin
from fenchel.database import Transaction
from fenchel.definitions import FunctionPath, decode_function_path
from fenchel.errors import ConflictError, bad_request
from fenchel.function_runner import AllowedVisibility
from fenchel.runtime import Runtime
from fenchel.udf import (
    ExecutionContext,
    FunctionResult,
    JsError,
    LogLine,
    QueryJournal,
    UdfOutcome,
    UdfRequest,
    UdfType,
)

_HTTP_ROUTER = FunctionPath("", "http.js", "default")


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded call: what to run and for whom, independent of the attempt.

    `args_json` is JSON text of an array with one object. `scheduled_job` is the job that this call,
    or an ancestor of it, belongs to; `scheduling_component` holds it. `route` names an HTTP action
    in the log (`GET /path`).
    """

    path: FunctionPath
    args_json: str
    identity: Identity
    caller: FunctionCaller
    visibility: AllowedVisibility
    request_id: str
    is_root: bool = True
    parent_execution_id: str | None = None
    scheduled_job: str | None = None
    scheduling_component: str = ""
    client_ip: str | None = None
    user_agent: str | None = None
    route: str | None = None


def decode_http_call(call: HttpActionCall) -> Invocation:
    return Invocation(
        path=_HTTP_ROUTER,
        args_json="[]",
        identity=call.identity,
        caller=FunctionCaller.HTTP_ENDPOINT,
        visibility=AllowedVisibility.ALL,
        request_id=call.request_id,
        client_ip=call.client_ip,
        user_agent=call.user_agent,
    )


def decode_call(call: FunctionCall) -> Invocation:
    """Raises: BadConvexFunctionIdentifier; ComponentPathNotFound."""
    is_privileged = is_admin(call.identity)
    if call.component and not is_privileged:
        raise bad_request(
            "ComponentPathNotFound",
            f"Component {call.component!r} is not open to clients. Call a function of the app.",
        )
    return Invocation(
        path=_decode_path(call.path, call.component),
        args_json=wrap_args(call.args_json),
        identity=call.identity,
        caller=call.caller,
        visibility=AllowedVisibility.ALL if is_privileged else AllowedVisibility.PUBLIC_ONLY,
        request_id=call.request_id,
        client_ip=call.client_ip,
        user_agent=call.user_agent,
    )


@lru_cache(maxsize=4_096)
def _decode_path(text: str, component: str) -> FunctionPath:
    """Clients call the same few functions again and again."""
    return decode_function_path(text, component=component)


def decode_callback(request: UdfRequest, path: FunctionPath, args_json: str) -> Invocation:
    """What an action asks for: everything but path and arguments is inherited (execution 2.12)."""
    context = request.context
    return Invocation(
        path=path,
        args_json=wrap_args(args_json),
        identity=request.identity_for(path),
        caller=FunctionCaller.ACTION,
        visibility=AllowedVisibility.ALL,
        request_id=context.request_id,
        is_root=False,
        parent_execution_id=context.execution_id,
        scheduled_job=context.parent_scheduled_job,
        scheduling_component=context.scheduling_component,
        client_ip=context.client_ip,
        user_agent=context.user_agent,
    )


def wrap_args(args_json: str) -> str:
    """An array with one object, whichever of the two accepted forms the caller sent (execution
    1.4).
    """
    text = args_json.strip()
    return text if text.startswith("[") else f"[{text}]"


class Executions:
    """Makes requests with fresh seed, time and execution id, and records their ends and usage."""

    def __init__(
        self,
        runtime: Runtime,
        function_log: FunctionLog,
        usage: UsageTracker,
        metrics: ApplicationMetrics,
    ) -> None:
        self._metrics = metrics
        self._runtime = runtime
        self._function_log = function_log
        self._usage = usage

    def begin(
        self,
        invocation: Invocation,
        udf_type: UdfType,
        *,
        journal: QueryJournal | None = None,
        on_log_line: Callable[[LogLine], None] | None = None,
    ) -> UdfRequest:
        """The request of a new attempt."""
        return UdfRequest(
            path=invocation.path,
            udf_type=udf_type,
            args_json=invocation.args_json,
            identity=invocation.identity,
            context=ExecutionContext(
                request_id=invocation.request_id,
                execution_id=self._runtime.randomness.uuid4(),
                is_root=invocation.is_root,
                parent_scheduled_job=invocation.scheduled_job,
                scheduling_component=invocation.scheduling_component,
                client_ip=invocation.client_ip,
                user_agent=invocation.user_agent,
            ),
            seed=self._runtime.randomness.token_bytes(32),
            unix_ms=self._runtime.clock.now_ns() // 1_000_000,
            journal=journal or QueryJournal(),
            on_log_line=on_log_line,
        )

    def new_request_id(self) -> str:
        """For work that no client asked for."""
        return self._runtime.randomness.token_bytes(8).hex()

    def record_progress(
        self, invocation: Invocation, request: UdfRequest, lines: tuple[LogLine, ...]
    ) -> None:
        self._function_log.record_progress(self._describe(invocation, request), lines)

    def record_hit(
        self, invocation: Invocation, outcome: UdfOutcome
    ) -> tuple[Execution, Completion]:
        """Log a query that was answered without running; the answer is the pattern for
        `record_repetition`.
        """
        execution = Execution(
            udf_type=UdfType.QUERY,
            identifier=invocation.path.stripped,
            component=invocation.path.component,
            caller=invocation.caller,
            identity=invocation.identity,
            request_id=invocation.request_id,
            execution_id=self._runtime.randomness.uuid4(),
            parent_execution_id=invocation.parent_execution_id,
            start_ns=self._runtime.clock.now_ns(),
        )
        completion = Completion(
            execution_seconds=0.0,
            error=_error_text(outcome),
            is_cached=True,
            return_bytes=_return_bytes(outcome),
        )
        self._function_log.record_completion(execution, completion, outcome.log_lines)
        self._record_hit(execution, completion)
        if outcome.audit_lines:
            self._emit_audit_lines(invocation, outcome)
        return execution, completion

    def record_repetition(
        self, execution: Execution, completion: Completion, lines: tuple[LogLine, ...]
    ) -> None:
        """Log the same answer under new ids."""
        ids = self._runtime.randomness.token_bytes(REPETITION_ID_BYTES)
        self._function_log.record_completion(execution, completion, lines, repetition_ids=ids)
        self._record_hit(execution, completion)

    def record_outcome(
        self,
        invocation: Invocation,
        request: UdfRequest,
        outcome: UdfOutcome,
        *,
        transaction: Transaction | None = None,
        conflict: ConflictError | None = None,
        retry_count: int = 0,
        will_retry: bool = False,
        miss: CacheMiss | None = None,
    ) -> None:
        """Log a finished attempt. Lines of actions went out as progress already; `miss` says why a
        query ran."""
        if conflict is not None:
            self._metrics.record_conflict(invocation.path, conflict, will_retry=will_retry)
        elif outcome.audit_lines:
            self._emit_audit_lines(invocation, outcome)
        is_action = request.udf_type in {UdfType.ACTION, UdfType.HTTP_ACTION}
        elapsed_ns = self._runtime.clock.now_ns() - request.unix_ms * 1_000_000
        seconds = max(elapsed_ns, 0) / 1e9
        execution = self._describe(invocation, request)
        self._usage.record_run(
            (execution.component, execution.identifier, request.udf_type.value),
            outcome,
            transaction,
            seconds=seconds,
            is_final=not will_retry,
        )
        self._function_log.record_completion(
            execution,
            Completion(
                execution_seconds=seconds,
                user_seconds=outcome.user_seconds,
                error=conflict.message if conflict else _error_text(outcome),
                return_bytes=_return_bytes(outcome),
                usage=_usage_fields(outcome, transaction),
                conflict=conflict,
                retry_count=retry_count,
                will_retry=will_retry,
                http_status=outcome.http_status,
                miss=miss,
            ),
            () if is_action else outcome.log_lines,
        )

    def _emit_audit_lines(self, invocation: Invocation, outcome: UdfOutcome) -> None:
        variables = {
            "requestId": invocation.request_id,
            "ip": invocation.client_ip,
            "userAgent": invocation.user_agent,
            "now": self._runtime.clock.now_ns() / 1e6,
            "convexActor": describe_actor(invocation.identity),
        }
        emit_audit_lines(outcome.audit_lines, invocation.path, variables)

    def _record_hit(self, execution: Execution, completion: Completion) -> None:
        key = (execution.component, execution.identifier, execution.udf_type.value)
        self._usage.record_hit(key, completion.return_bytes or 0)

    def _describe(self, invocation: Invocation, request: UdfRequest) -> Execution:
        return Execution(
            udf_type=request.udf_type,
            identifier=invocation.route or invocation.path.stripped,
            component=invocation.path.component,
            caller=invocation.caller,
            identity=request.identity,
            request_id=request.context.request_id,
            execution_id=request.context.execution_id,
            parent_execution_id=invocation.parent_execution_id,
            start_ns=request.unix_ms * 1_000_000,
        )


def _error_text(outcome: UdfOutcome) -> str | None:
    return outcome.result.pretty if isinstance(outcome.result, JsError) else None


def _return_bytes(outcome: UdfOutcome) -> int | None:
    result = outcome.result
    return len(result.value_json) if isinstance(result, FunctionResult) else None


def _usage_fields(outcome: UdfOutcome, transaction: Transaction | None) -> dict[str, int]:
    fields = {
        "memoryUsedMb": outcome.memory_bytes >> 20,
        "networkEgressBytes": outcome.egress_bytes,
    }
    if transaction is not None:
        usage = transaction.usage
        fields |= {
            "databaseReadBytes": usage.bytes_read,
            "databaseReadDocuments": usage.documents_read,
            "databaseWriteBytes": usage.bytes_written,
            "databaseWriteDocuments": usage.documents_written,
            "storageReadBytes": usage.file_bytes_read,
            "storageWriteBytes": usage.file_bytes_written,
        }
    return fields
