"""One client's connection: moves messages between the socket and `SyncState`, runs functions and
sends transitions.

    socket ─▶ reader ─▶ state, mutations ─▶ mutation runner ─▶ socket
                     ├▶ actions, one task each ──────────────▶ socket
                     └▶ live queries, advanced in turns ─────▶ socket

All tasks belong to one group: the first to fail ends the connection, and `closing` says how. An
idle connection has one task, which reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from fenchel.application import (
    ActionRun,
    ClientResult,
    FunctionCall,
    FunctionCaller,
    MutationRun,
    SessionRequest,
)
from fenchel.auth import Identity, check_not_expired
from fenchel.documents import encode_timestamp
from fenchel.errors import ErrorKind, FenchelError, internal_error, overloaded
from fenchel.runtime import BackgroundTasks, Runtime
from fenchel.sync.backend import Authenticator, ClientInfo, FunctionBackend, Socket, SocketClosed
from fenchel.sync.client_results import failed_result, raw_or_unset
from fenchel.sync.closing import SHUTDOWN, Ending, auth_update_failed, ending_for
from fenchel.sync.function_calls import random_request_id, run_with_retries, session_request_id
from fenchel.sync.live_queries import LiveQueries
from fenchel.sync.protocol import (
    ActionRequest,
    ActionResponse,
    Authenticate,
    ClientEvent,
    ClientMessage,
    Connect,
    ModifyQuerySet,
    MutationRequest,
    MutationResponse,
    Ping,
    ServerMessage,
    Transition,
    add_clocks,
    decode_client_message,
    encode_chunks,
    encode_server_message,
)
from fenchel.sync.shared_queries import SharedQueries
from fenchel.sync.sync_state import SyncState

logger = logging.getLogger(__name__)

# The last words to a client: queued responses, final message, close frame.
ENDING_SECONDS_MAX = 5.0


class _ShuttingDown(Exception):
    """The server is going away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _QueuedMutation:
    """`identity` is the one in force when the message came in (3.10)."""

    request: MutationRequest
    identity: Identity


class SyncWorker:
    """Serves one connection; after `run` no task of it is left but running actions.

    `_group` starts None; it is set when `run` serves. `_failed` is pending until something outside
    of a task goes wrong, or the connection ends for another reason. `is_due`: see `Connection`.
    """

    def __init__(
        self,
        *,
        socket: Socket,
        backend: FunctionBackend,
        queries: SharedQueries,
        authenticator: Authenticator,
        client: ClientInfo,
        actions: BackgroundTasks,
        runtime: Runtime,
    ) -> None:
        self.is_due = False
        self._socket = socket
        self._backend = backend
        self._shared = queries
        self._authenticator = authenticator
        self._client = client
        self._background = actions
        self._runtime = runtime
        self._settings = runtime.settings.sync
        self._state = SyncState()
        self._queries = LiveQueries(
            shared=queries,
            state=self._state,
            client=client,
            runtime=runtime,
            owner=self,
        )
        self._mutations: deque[_QueuedMutation] = deque()
        self._is_running_mutations = False
        self._is_draining = False
        self._action_count = 0
        self._group: asyncio.TaskGroup | None = None
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._ping_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        # Loop time of the last message.
        self._written_at = self._loop.time()

    def shut_down(self) -> None:
        """Make `run` end with a close frame that lets the client connect elsewhere."""
        self._fail(_ShuttingDown())

    async def run(self) -> Ending | None:
        """Serve until the peer leaves (None), the server shuts down or the protocol is violated."""
        try:
            await self._serve()
        except BaseExceptionGroup as failures:
            # A frame of the trace holds the group, and with it all that the connection had would
            # stay until somebody looks for garbage cycles, which is seldom.
            failures.__traceback__ = None
            return await self._end(_first_failure(failures))
        raise AssertionError("the tasks of a connection end only by failing")

    async def _serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._ping()
                group.create_task(self._read(group), name="sync reader")
                raise await self._failed
        finally:
            if self._ping_timer is not None:
                self._ping_timer.cancel()
            self._queries.close()

    def _fail(self, failure: BaseException) -> None:
        """End the connection from outside of its tasks; the first reason counts."""
        if not self._failed.done():
            self._failed.set_result(failure)

    # Reading

    async def _read(self, group: asyncio.TaskGroup) -> NoReturn:
        while True:
            message = decode_client_message(await self._socket.receive())
            await self._receive(message, group)

    async def _receive(self, message: ClientMessage, group: asyncio.TaskGroup) -> None:
        match message:
            case Connect():
                now_ms = self._runtime.clock.now_ns() // 1_000_000
                self._state.connect(message, latest_ts=self._backend.latest_ts(), now_ms=now_ms)
            case ModifyQuerySet():
                self._state.modify_query_set(message)
                self._wake()
            case Authenticate():
                await self._authenticate(message)
            case MutationRequest():
                self._queue_mutation(message, group)
            case ActionRequest():
                self._start_action(message, group)
            case ClientEvent():
                logger.debug("client event type=%s", message.event_type)

    async def _authenticate(self, message: Authenticate) -> None:
        """Inline, so that later messages of this connection see the new identity (3.12)."""
        self._state.check_authenticate(message.base_version)
        try:
            identity = await self._authenticator.authenticate(message)
        except FenchelError as error:
            raise auth_update_failed(error) from error
        self._state.authenticate(identity)
        self._wake()

    # Mutations

    def _queue_mutation(self, request: MutationRequest, group: asyncio.TaskGroup) -> None:
        if len(self._mutations) >= self._settings.mutation_queue_count_max:
            raise FenchelError(
                ErrorKind.RATE_LIMITED,
                "TooManyConcurrentMutations",
                "Too many mutations of this client are waiting.",
            )
        self._mutations.append(_QueuedMutation(request=request, identity=self._state.identity))
        if not self._is_running_mutations:
            self._is_running_mutations = True
            group.create_task(self._run_mutations(), name="sync mutations")

    async def _run_mutations(self) -> None:
        """One at a time, in the order of requests, until none waits (3.10)."""
        while self._mutations:
            queued = self._mutations.popleft()
            check_not_expired(queued.identity, self._runtime.clock.now_ns())
            self._state.begin_mutation()
            run = await self._run_mutation(queued)
            self._write(_mutation_response(queued.request.request_id, run))
            self._state.finish_mutation(run.ts)
            self._wake()
            await self._socket.drain()
        self._is_running_mutations = False

    async def _run_mutation(self, queued: _QueuedMutation) -> MutationRun:
        request = queued.request
        call = self._call(request, queued.identity)
        session_id = self._state.session_id
        session = None if session_id is None else SessionRequest(session_id, request.request_id)
        seconds_max = self._settings.mutation_seconds_max
        try:
            async with asyncio.timeout(seconds_max) as deadline:
                return await run_with_retries(
                    self._runtime,
                    lambda: self._backend.run_mutation(
                        call, session=session, on_commit=self._state.commit_mutation
                    ),
                )
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise overloaded(
                "SystemTimeoutError", f"A mutation took longer than {seconds_max} s."
            ) from error
        except FenchelError as error:
            return MutationRun(result=_failure(error, call), ts=None)
        except Exception as error:  # noqa: BLE001 - a bug below must not cost the connection (3.10)
            return MutationRun(result=_bug(error, call), ts=None)

    # Actions

    def _start_action(self, request: ActionRequest, group: asyncio.TaskGroup) -> None:
        if self._action_count >= self._settings.action_count_max:
            raise FenchelError(
                ErrorKind.RATE_LIMITED,
                "TooManyConcurrentActions",
                "Too many actions of this client are running.",
            )
        identity = self._state.identity
        check_not_expired(identity, self._runtime.clock.now_ns())
        call = self._call(request, identity)
        self._action_count += 1
        running = self._background.spawn(f"action {call.request_id}", self._run_action(call))
        group.create_task(self._answer_action(request.request_id, running), name="sync action")

    async def _run_action(self, call: FunctionCall) -> ClientResult:
        try:
            run: ActionRun = await run_with_retries(
                self._runtime, lambda: self._backend.run_action(call)
            )
        except FenchelError as error:
            return _failure(error, call)
        except Exception as error:  # noqa: BLE001 - a bug below must not cost the connection
            return _bug(error, call)
        return run.result

    async def _answer_action(self, request_id: int, running: asyncio.Task[ClientResult]) -> None:
        """Ends with the connection; the action itself goes on."""
        try:
            result = await asyncio.shield(running)
            await self._socket.drain()
        finally:
            self._action_count -= 1
        self._write(_action_response(request_id, result))
        self._state.finish_action()
        self._wake()

    def _call(self, request: MutationRequest | ActionRequest, identity: Identity) -> FunctionCall:
        session_id = self._state.session_id
        return FunctionCall(
            path=request.udf_path,
            component=request.component_path or "",
            args_json=bytes(request.args).decode(),
            identity=identity,
            caller=FunctionCaller.SYNC_WORKER,
            request_id=random_request_id(self._runtime)
            if session_id is None
            else session_request_id(session_id, request.request_id),
            client_ip=self._client.client_ip,
            user_agent=self._client.user_agent,
        )

    # Transitions and writing

    def _wake(self) -> None:
        self._shared.schedule(self)

    def advance(self) -> None:
        """Send the next Transition if the client has taken the former ones, and if there is one.

        Flow control is the only coalescing: a slow client gets fewer, larger transitions (3.8).
        """
        if self._failed.done():
            return
        assert self._group is not None
        if not self._socket.is_writable:
            self._wake_when_writable(self._group)
            return
        try:
            transition = self._queries.advance()
            if transition is not None:
                self._write_transition(transition)
        except Exception as error:  # noqa: BLE001 - outermost frame: it costs this connection only
            self._fail(error)

    def _wake_when_writable(self, group: asyncio.TaskGroup) -> None:
        if not self._is_draining:
            self._is_draining = True
            group.create_task(self._drain(), name="sync drain")

    async def _drain(self) -> None:
        await self._socket.drain()
        self._is_draining = False
        self._wake()

    def _write_transition(self, transition: Transition) -> None:
        text = self._shared.transitions.encode(transition)
        skew = self._state.client_clock_skew_ms
        if skew is not None:
            now_ns = self._runtime.clock.now_ns()
            text = add_clocks(text, client_clock_skew_ms=skew, server_ts_ns=now_ns)
        chunk_bytes_max = self._settings.transition_chunk_bytes
        if len(text) <= chunk_bytes_max or not self._client.takes_chunks:
            self._write_text(text)
            return
        for chunk in encode_chunks(text, chunk_bytes_max):
            self._write_text(chunk)

    def _write(self, message: ServerMessage) -> None:
        self._write_text(encode_server_message(message))

    def _write_text(self, text: bytes) -> None:
        self._socket.write(text)
        self._written_at = self._loop.time()

    def _ping(self) -> None:
        """Say something whenever nothing else was said for a while (3.14).

        One timer a period, and none for each message.
        """
        loop, seconds = self._loop, self._settings.ping_seconds
        due = self._written_at + seconds
        if due <= loop.time():
            due = loop.time() + seconds
            try:
                if self._socket.is_writable:
                    self._write(Ping())
            except SocketClosed as error:
                self._fail(error)
                return
        self._ping_timer = loop.call_at(due, self._ping)

    # Ending

    async def _end(self, failure: BaseException) -> Ending | None:
        if isinstance(failure, SocketClosed):
            return None
        ending = self._ending_for(failure)
        try:
            async with asyncio.timeout(ENDING_SECONDS_MAX):
                await self._send_last_words(ending)
        except (SocketClosed, TimeoutError):
            logger.debug("the client did not take the final message")
        return ending

    def _ending_for(self, failure: BaseException) -> Ending:
        if isinstance(failure, _ShuttingDown):
            return SHUTDOWN
        if not isinstance(failure, FenchelError):
            logger.error("connection failed", exc_info=failure)
            failure = internal_error(repr(failure))
        elif failure.kind is ErrorKind.OPERATIONAL:
            logger.error("connection failed error=%s", failure)
        return ending_for(failure, identity_version=self._state.sent.identity)

    async def _send_last_words(self, ending: Ending) -> None:
        if ending.message is not None:
            self._write(ending.message)
        await self._socket.close(ending.code, ending.reason)


def _mutation_response(request_id: int, run: MutationRun) -> MutationResponse:
    result = run.result
    return MutationResponse(
        request_id=request_id,
        success=result.is_success,
        result=_result_field(result),
        ts=encode_timestamp(run.ts) if result.is_success and run.ts is not None else None,
        log_lines=tuple(line.pretty for line in result.log_lines),
        error_data=raw_or_unset(result.error_data_json),
    )


def _action_response(request_id: int, result: ClientResult) -> ActionResponse:
    return ActionResponse(
        request_id=request_id,
        success=result.is_success,
        result=_result_field(result),
        log_lines=tuple(line.pretty for line in result.log_lines),
        error_data=raw_or_unset(result.error_data_json),
    )


def _result_field(result: ClientResult) -> msgspec.Raw | str:
    return msgspec.Raw(result.value_json.encode()) if result.is_success else result.error_message


def _failure(error: FenchelError, call: FunctionCall) -> ClientResult:
    """A failed result; an expired token is raised: the client must fetch a new one (3.12)."""
    if error.kind is ErrorKind.UNAUTHENTICATED:
        raise error
    if error.kind is ErrorKind.OPERATIONAL:
        logger.error("request failed request_id=%s error=%s", call.request_id, error)
    return failed_result(error, call.request_id)


def _bug(error: Exception, call: FunctionCall) -> ClientResult:
    logger.error("request failed request_id=%s", call.request_id, exc_info=error)
    return failed_result(internal_error(repr(error)), call.request_id)


def _first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The peer's leaving outranks everything; else the first failure."""
    leaves = [
        _first_failure(failure) if isinstance(failure, BaseExceptionGroup) else failure
        for failure in failures.exceptions
    ]
    return next((leaf for leaf in leaves if isinstance(leaf, SocketClosed)), leaves[0])
