"""One client's connection: tasks around `SyncState` that move messages, run functions and send
transitions.

    socket ─▶ reader ─▶ state, mutations ─▶ mutation worker ─▶ outbound ─▶ writer ─▶ socket
                     └▶ actions, one task each ─────────────────▲
                        transition worker ──────────────────────┘

All tasks belong to one group: the first to fail ends the connection, and `closing` says how.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
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
from fenchel.sync.client_results import failed_result
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
    decode_client_message,
    encode_chunks,
    encode_server_message,
)
from fenchel.sync.sync_state import SyncState, raw_or_unset

logger = logging.getLogger(__name__)

# Messages waiting for the writer; producers wait when the client reads slowly.
OUTBOUND_COUNT_MAX = 256
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
    """Serves one connection; after `run` no task of it is left but running actions."""

    def __init__(
        self,
        *,
        socket: Socket,
        backend: FunctionBackend,
        authenticator: Authenticator,
        client: ClientInfo,
        actions: BackgroundTasks,
        runtime: Runtime,
    ) -> None:
        self._socket = socket
        self._backend = backend
        self._authenticator = authenticator
        self._client = client
        self._background = actions
        self._runtime = runtime
        self._settings = runtime.settings.sync
        self._state = SyncState()
        self._wake = asyncio.Event()
        self._queries = LiveQueries(
            backend=backend,
            state=self._state,
            client=client,
            runtime=runtime,
            on_change=self._wake.set,
        )
        self._outbound: asyncio.Queue[ServerMessage] = asyncio.Queue(OUTBOUND_COUNT_MAX)
        self._mutations: asyncio.Queue[_QueuedMutation] = asyncio.Queue(
            self._settings.mutation_queue_count_max
        )
        self._unsent_transitions = asyncio.Semaphore(self._settings.unsent_transitions_max)
        self._action_count = 0
        self._is_sending = False
        # Loop time of the last message.
        self._sent_at = asyncio.get_running_loop().time()
        self._shutdown = asyncio.Event()

    def shut_down(self) -> None:
        """Make `run` end with a close frame that lets the client connect elsewhere."""
        self._shutdown.set()

    async def run(self) -> Ending | None:
        """Serve until the peer leaves (None), the server shuts down or the protocol is violated."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(group), name="sync reader")
                group.create_task(self._run_mutations(), name="sync mutations")
                group.create_task(self._run_transitions(), name="sync transitions")
                group.create_task(self._write(), name="sync writer")
                group.create_task(self._ping_until_shutdown(), name="sync pinger")
        except BaseExceptionGroup as failures:
            return await self._end(_first_failure(failures))
        finally:
            self._queries.close()
        raise AssertionError("the tasks of a connection end only by failing")

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
                self._wake.set()
            case Authenticate():
                await self._authenticate(message)
            case MutationRequest():
                self._queue_mutation(message)
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
        self._wake.set()

    # Mutations

    def _queue_mutation(self, request: MutationRequest) -> None:
        queued = _QueuedMutation(request=request, identity=self._state.identity)
        try:
            self._mutations.put_nowait(queued)
        except asyncio.QueueFull:
            raise FenchelError(
                ErrorKind.RATE_LIMITED,
                "TooManyConcurrentMutations",
                "Too many mutations of this client are waiting.",
            ) from None

    async def _run_mutations(self) -> NoReturn:
        while True:
            queued = await self._mutations.get()
            check_not_expired(queued.identity, self._runtime.clock.now_ns())
            self._state.begin_mutation(latest_ts=self._backend.latest_ts())
            run = await self._run_mutation(queued)
            await self._outbound.put(_mutation_response(queued.request.request_id, run))
            self._state.finish_mutation(run.ts)
            self._wake.set()

    async def _run_mutation(self, queued: _QueuedMutation) -> MutationRun:
        request = queued.request
        call = self._call(request, queued.identity)
        session_id = self._state.session_id
        session = None if session_id is None else SessionRequest(session_id, request.request_id)
        seconds_max = self._settings.mutation_seconds_max
        try:
            async with asyncio.timeout(seconds_max) as deadline:
                return await run_with_retries(
                    self._runtime, lambda: self._backend.run_mutation(call, session=session)
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
            await self._outbound.put(_action_response(request_id, result))
        finally:
            self._action_count -= 1
        self._state.finish_action()
        self._wake.set()

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

    async def _run_transitions(self) -> NoReturn:
        while True:
            await self._wake.wait()
            # Flow control is the only coalescing: a slow client gets fewer, larger transitions
            # (3.8).
            await self._unsent_transitions.acquire()
            self._wake.clear()
            transition = None
            if self._state.is_transition_due:
                transition = await self._queries.compute_transition()
            if transition is None:
                self._unsent_transitions.release()
            else:
                await self._outbound.put(transition)

    async def _write(self) -> NoReturn:
        while True:
            await self._send(await self._outbound.get())

    async def _ping_until_shutdown(self) -> NoReturn:
        """Say something whenever nothing else was said for a while (3.14).

        One timer a period, and none for each message.
        """
        loop, seconds = asyncio.get_running_loop(), self._settings.ping_seconds
        while True:
            due = self._sent_at + seconds
            if due <= loop.time():
                if self._outbound.empty() and not self._is_sending:
                    await self._outbound.put(Ping())
                due = loop.time() + seconds
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._shutdown.wait()
                    raise _ShuttingDown

    async def _send(self, message: ServerMessage) -> None:
        self._is_sending = True
        if isinstance(message, Transition):
            for text in self._encode_transition(message):
                await self._socket.send(text)
            self._unsent_transitions.release()
        else:
            await self._socket.send(encode_server_message(message))
        self._sent_at = asyncio.get_running_loop().time()
        self._is_sending = False

    def _encode_transition(self, transition: Transition) -> tuple[str, ...]:
        skew = self._state.client_clock_skew_ms
        if skew is not None:
            transition = msgspec.structs.replace(
                transition, client_clock_skew=skew, server_ts=self._runtime.clock.now_ns()
            )
        text = encode_server_message(transition)
        if not self._client.takes_chunks:
            return (text,)
        return encode_chunks(text, self._settings.transition_chunk_bytes)

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
        # A message that was cut off must not be followed by others: versions would not match (3.6).
        if not self._is_sending:
            while not self._outbound.empty():
                await self._send(self._outbound.get_nowait())
            if ending.message is not None:
                await self._send(ending.message)
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
