"""One action on one worker. Its system calls run side by side; each is a transaction of its own
above.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fenchel.definitions import FunctionPath
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.isolate import syscall_args as args_of
from fenchel.isolate.addresses import Address
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.execution import Execution, LogLines
from fenchel.isolate.file_syscalls import FileSyscalls
from fenchel.isolate.host import FunctionNames
from fenchel.isolate.http_syscalls import HttpSyscalls
from fenchel.isolate.messages import (
    Outcome,
    ResultKind,
    Syscall,
    WorkerLogLine,
    encode_error_payload,
    encode_json_bytes,
)
from fenchel.isolate.metadata import Deployment, function_metadata, request_metadata
from fenchel.isolate.network import ByteStreams, Egress, NetworkSyscalls
from fenchel.isolate.outcomes import decode_log_line, decode_result, function_result, timeout_error
from fenchel.isolate.storage_syscalls import STORAGE_READS, STORAGE_WRITES, StorageCall
from fenchel.isolate.syscall_args import decode_args, encode_args_array
from fenchel.isolate.syscalls import (
    Answer,
    component_argument,
    error_payload,
    identity_json,
)
from fenchel.isolate.transaction_execution import execute_header
from fenchel.isolate.worker import Worker
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import (
    ActionCallbacks,
    FileAccess,
    FunctionResult,
    HttpExchange,
    JsError,
    LogLine,
    UdfOutcome,
    UdfRequest,
)

logger = logging.getLogger(__name__)

_TRY_AGAIN = "Your request couldn't be completed. Try again later."
_TOO_MANY_CALLS = (
    "Too many concurrent operations. "
    "See https://docs.convex.dev/functions/actions#limits for more information."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCall:
    """An action with everything it may reach; an HTTP action has an exchange."""

    bundle: CodeBundle
    request: UdfRequest
    callbacks: ActionCallbacks
    names: FunctionNames
    deployment: Deployment
    egress: Egress
    exchange: HttpExchange | None = None


class ActionRun:
    """One action and the log lines heard so far. Life: `run_on` a worker, on another one only if
    nothing was heard of it before; `close` ends it. `note_turn` is told while a turn holds others
    up for how long it has computed.
    """

    def __init__(
        self, call: ActionCall, settings: IsolateSettings, note_turn: Callable[[float], None]
    ) -> None:
        # Of those that held others up, in seconds of processor time.
        self.longest_turn_seconds = 0.0
        self._note_turn = note_turn
        self._call = call
        self._settings = settings
        self._syscalls = _ActionSyscalls(call)
        http = self._syscalls.http
        self._args_json = http.args_json() if http else call.request.args_json
        self._log_lines: list[LogLine] = []

    async def run_on(self, worker: Worker, *, is_movable: bool) -> UdfOutcome:
        """The outcome, with all log lines; each line was also given to `request.on_log_line` at
        once.

        Raises: WorkerLost, for `is_movable` also with the cause MOVED while nothing was heard of
        it; FenchelError for failures of the system. Calls that the action did not await are
        cancelled when it ends.
        """
        seconds_max = self._settings.action_seconds_max
        deadline = asyncio.timeout(seconds_max + self._settings.hang_grace_seconds)
        try:
            async with deadline:
                return await self._run_on(worker, is_movable=is_movable)
        except TimeoutError:
            if not deadline.expired():
                raise
            return self._outcome_of(timeout_error(seconds_max))

    def close(self) -> None:
        """End what the action began and did not finish."""
        self._syscalls.close()

    def _on_long_turn(self, seconds: float) -> None:
        self.longest_turn_seconds = max(self.longest_turn_seconds, seconds)
        self._note_turn(seconds)

    async def _run_on(self, worker: Worker, *, is_movable: bool) -> UdfOutcome:
        seconds_max = self._settings.action_seconds_max
        request, http = self._call.request, self._syscalls.http
        header = execute_header(request, "httpAction" if http else "action", seconds_max)
        execution = await worker.execute(
            self._call.bundle,
            header,
            self._args_json,
            self._syscalls,
            is_movable=is_movable,
            on_long_turn=self._on_long_turn,
        )
        try:
            outcome = await self._converse(worker, execution)
        finally:
            worker.release(execution)
        self._add_log_lines(outcome.header.log_lines)
        decoded = decode_result(
            outcome,
            user_seconds_max=seconds_max,
            heap_mebibytes_max=self._settings.heap_mebibytes_max,
            function=request.path.stripped,
            request_bytes=http.request_bytes if http else None,
        )
        result = function_result(decoded)
        if http and not http.is_routed and isinstance(result, FunctionResult):
            raise FenchelError(ErrorKind.NOT_FOUND, "NoMatchingRoutes", "No matching routes found")
        return self._outcome_of(result, outcome)

    def _outcome_of(
        self, result: FunctionResult | JsError, outcome: Outcome | None = None
    ) -> UdfOutcome:
        header = outcome.header if outcome else None
        return UdfOutcome(
            result=result,
            log_lines=tuple(self._log_lines),
            observed_identity=self._syscalls.observed_identity,
            user_seconds=header.user_ms / 1000 if header else 0.0,
            memory_bytes=header.heap_bytes if header else 0,
            http_status=self._syscalls.http.status if self._syscalls.http else None,
            egress_bytes=self._syscalls.egress_bytes,
            ingress_bytes=self._syscalls.ingress_bytes,
        )

    async def _converse(self, worker: Worker, execution: Execution) -> Outcome:
        loop = asyncio.get_running_loop()
        calls: set[asyncio.Task[None]] = set()
        try:
            while True:
                event = await execution.next_event()
                if isinstance(event, Outcome):
                    return event
                if isinstance(event, LogLines):
                    self._add_log_lines(event.lines)
                    continue
                for syscall in event:
                    task = loop.create_task(
                        self._answer(
                            worker,
                            execution,
                            syscall,
                            is_refused=len(calls) >= self._settings.concurrent_calls_max,
                        ),
                        name=f"action-{syscall.op}",
                    )
                    calls.add(task)
                    task.add_done_callback(calls.discard)
        finally:
            for task in list(calls):
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    def _add_log_lines(self, lines: list[WorkerLogLine]) -> None:
        room = self._settings.log_lines_max - len(self._log_lines)
        for line in map(decode_log_line, lines[: max(room, 0)]):
            self._log_lines.append(line)
            if self._call.request.on_log_line is not None:
                self._call.request.on_log_line(line)

    async def _answer(
        self, worker: Worker, execution: Execution, syscall: Syscall, *, is_refused: bool
    ) -> None:
        if is_refused:
            kind, payload = ResultKind.ERROR, encode_error_payload(_TOO_MANY_CALLS, None)
        else:
            kind, payload = await self._syscalls.run(syscall)
        await worker.send_results(execution, [(syscall.id, kind)], [payload])


class _ActionSyscalls:
    """Operations of an action; all but the metadata go up to the callbacks."""

    def __init__(self, call: ActionCall) -> None:
        self.observed_identity = False
        self._request = call.request
        self._callbacks = call.callbacks
        self._names = call.names
        self._deployment = call.deployment
        self._streams = ByteStreams(count_max=call.egress.settings.streams_per_action_max)
        self._network = NetworkSyscalls(call.egress, self._streams)
        self._files = FileSyscalls(call.request, call.callbacks, self._streams)
        component = call.request.path.component
        self.http = (
            HttpSyscalls(call.exchange, self._streams, component=component)
            if call.exchange
            else None
        )

    @property
    def egress_bytes(self) -> int:
        """Bytes of bodies that have left so far."""
        return self._network.sent_bytes + (self.http.sent_bytes if self.http else 0)

    @property
    def ingress_bytes(self) -> int:
        """Bytes of bodies that came in so far."""
        return self._streams.ingress_bytes

    def close(self) -> None:
        """End what the action began and did not finish."""
        self._network.close()
        self._streams.close()

    def answer_sync_call(self, op: str, args: bytes) -> Answer:
        try:
            if op == "1.0/componentArgument":
                return True, component_argument(self._request, args)
            if op == "fenchel/httpRoute" and self.http is not None:
                self.http.name_route(args)
                return True, b""
            raise bad_request("UnknownOperation", f"Unknown operation {op}")
        except FenchelError as error:
            return False, error_payload(error)

    async def run(self, syscall: Syscall) -> tuple[ResultKind, bytes]:
        try:
            byte_handler = self._byte_handler(syscall.op)
            if byte_handler is not None:
                return await byte_handler(syscall.args)
            handler = _HANDLERS.get(syscall.op)
            if handler is None:
                message = f"Unknown async operation {syscall.op}"
                raise bad_request("UnknownAsyncOperation", message)
            return ResultKind.TEXT, await handler(self, syscall.args)
        except FenchelError as error:
            if error.is_developer_error:
                return ResultKind.ERROR, error_payload(error)
            logger.warning("system call failed op=%s error=%s", syscall.op, error)
        except (
            Exception
        ):  # Outermost frame of this task: the action goes on, and sees only that it failed.
            logger.exception("system call failed op=%s", syscall.op)
        return ResultKind.ERROR, encode_error_payload(_TRY_AGAIN, None)

    def _byte_handler(
        self, op: str
    ) -> Callable[[bytes], Awaitable[tuple[ResultKind, bytes]]] | None:
        """What moves bytes that are no documents."""
        handler = self._network.handler(op) or self._files.handler(op)
        if handler is None and self.http is not None:
            handler = self.http.handler(op)
        return handler

    async def _query(self, text: bytes) -> bytes:
        return await self._run(text, "runQuery", self._callbacks.run_query)

    async def _mutation(self, text: bytes) -> bytes:
        return await self._run(text, "runMutation", self._callbacks.run_mutation)

    async def _action(self, text: bytes) -> bytes:
        return await self._run(text, "runAction", self._callbacks.run_action)

    async def _run(self, text: bytes, method: str, run: Callable[..., Awaitable[str]]) -> bytes:
        args = decode_args(args_of.Call, text, method)
        path = await self._resolve(args)
        return (await run(self._request, path, bytes(args.args).decode())).encode()

    async def _schedule(self, text: bytes) -> bytes:
        args = decode_args(args_of.Schedule, text, "scheduler")
        path = await self._resolve(args)
        args_json = encode_args_array(args.args, "scheduler")
        id = await self._callbacks.schedule(self._request, path, args_json, args.ts)
        return encode_json_bytes(id)

    async def _cancel_job(self, text: bytes) -> bytes:
        args = decode_args(args_of.CancelJob, text, "db.cancel_job")
        await self._callbacks.cancel_job(self._request, args.id)
        return b"null"

    async def _get_user_identity(self, text: bytes) -> bytes:
        self.observed_identity = not self._request.path.component
        return identity_json(self._request)

    async def _get_service(self, text: bytes) -> bytes:
        """Services that Convex manages for its own deployments (execution 2.8)."""
        service = decode_args(args_of.ManagedService, text, "createServiceToken").service
        raise bad_request(
            "ServiceNotAvailable",
            f'The service "{service}" is managed by Convex and not available in this deployment. '
            "Call a provider of your own with `fetch`.",
        )

    async def _refuse_audit_log(self, text: bytes) -> bytes:
        raise bad_request(
            "AuditLogNotSupportedInAction",
            "`log.audit` is for queries and mutations. Call a mutation that writes the line.",
        )

    async def _refuse_vector_search(self, text: bytes) -> bytes:
        raise bad_request(
            "SearchIndexesUnavailable", "Search indexes are not available on this backend."
        )

    async def _get_function_metadata(self, text: bytes) -> bytes:
        return function_metadata(self._request)

    async def _get_deployment_metadata(self, text: bytes) -> bytes:
        return encode_json_bytes(self._deployment)

    async def _get_request_metadata(self, text: bytes) -> bytes:
        return request_metadata(self._request)

    async def _create_function_handle(self, text: bytes) -> bytes:
        address = decode_args(Address, text, "createFunctionHandle")
        component = self._request.path.component
        return encode_json_bytes(await self._names.create_function_handle(None, address, component))

    async def _resolve(self, address: Address) -> FunctionPath:
        component = self._request.path.component
        return await self._names.resolve_address(None, address, component)


def _storage_handler(
    call: StorageCall,
) -> Callable[[_ActionSyscalls, bytes], Awaitable[bytes]]:
    async def run(syscalls: _ActionSyscalls, text: bytes) -> bytes:
        async def work(files: FileAccess) -> bytes:
            return await call(files, text)

        return await syscalls._callbacks.with_files(syscalls._request, work)

    return run


_HANDLERS: dict[str, Callable[[_ActionSyscalls, bytes], Awaitable[bytes]]] = {
    "1.0/actions/query": _ActionSyscalls._query,
    "1.0/actions/mutation": _ActionSyscalls._mutation,
    "1.0/actions/action": _ActionSyscalls._action,
    "1.0/actions/schedule": _ActionSyscalls._schedule,
    "1.0/actions/cancel_job": _ActionSyscalls._cancel_job,
    "1.0/getUserIdentity": _ActionSyscalls._get_user_identity,
    "1.0/createServiceToken": _ActionSyscalls._get_service,
    "1.0/getServiceUrl": _ActionSyscalls._get_service,
    "1.0/auditLog": _ActionSyscalls._refuse_audit_log,
    "1.0/actions/vectorSearch": _ActionSyscalls._refuse_vector_search,
    "1.0/getFunctionMetadata": _ActionSyscalls._get_function_metadata,
    "1.0/getDeploymentMetadata": _ActionSyscalls._get_deployment_metadata,
    "1.0/getRequestMetadata": _ActionSyscalls._get_request_metadata,
    "1.0/createFunctionHandle": _ActionSyscalls._create_function_handle,
    **{op: _storage_handler(call) for op, call in (STORAGE_READS | STORAGE_WRITES).items()},
}
