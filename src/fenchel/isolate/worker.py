"""What the backend knows about one worker: loaded bundles and running executions. Decides what its
frames mean.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fenchel.errors import internal_error
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.execution import Execution, LogLines, LossCause, WorkerLost
from fenchel.isolate.frames import Frame, FrameType, ProtocolError
from fenchel.isolate.messages import (
    AnsweredCall,
    ExecuteHeader,
    Ready,
    decode_loaded,
    decode_log,
    decode_outcome,
    decode_sync_call,
    decode_syscalls,
    encode_answered_calls,
    encode_error_payload,
    encode_json_bytes,
    encode_result_meta,
    load_header,
)
from fenchel.isolate.metrics import IsolateMetrics, WorkerEnd
from fenchel.isolate.spawn import read_cpu_seconds, read_resident_bytes
from fenchel.isolate.turn_watch import TurnWatch
from fenchel.isolate.worker_process import ProcessEnd, WorkerProcess
from fenchel.runtime import Clock
from fenchel.runtime.settings import IsolateSettings

logger = logging.getLogger(__name__)

_CRASH_SIGNALS = frozenset(
    {signal.SIGABRT, signal.SIGTRAP, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE}
)
_LOAD_SECONDS_MAX = 10.0
# The turn of an execution that was cancelled.
_ABANDONED_TURN_SECONDS_MIN = 0.5
# What the marker shows while a warm realm is made, which holds the others up for longer than their
# turns may, but is not worth moving them.
_NOBODYS_TURN = 0
_PREPARATION_SECONDS = 0.1
# Two ticks of the clock that processes are charged by: below it a worker is as good as idle.
_LOOK_SECONDS_MIN = 0.02
_UINT32_MAX = 2**32 - 1
_CANCELLED_MAX = 4_096
_STRAY_BYTES_MAX = 256 << 20
_STRAY_FRAME_BYTES = 4_096
# What ended so has left memory to V8 and the C library that they do not give back.
_ABUSES = {"timeout": WorkerEnd.USER_TIMEOUT, "memory": WorkerEnd.OUT_OF_MEMORY}
_ENDS_BY_LOSS = {
    LossCause.HUNG: WorkerEnd.USER_TIMEOUT,
    LossCause.MEMORY: WorkerEnd.OUT_OF_MEMORY,
    LossCause.CRASHED: WorkerEnd.CRASHED,
    LossCause.OUTSIDE: WorkerEnd.KILLED,
}
# A worker that is silent but hardly computes is starved or blocked; it has so many times as long.
_IDLE_PATIENCE = 8
_INTERNAL_ERROR = encode_error_payload("Convex encountered an internal error", None)
_UNKNOWN_EXECUTION = encode_error_payload("This function was cancelled.", None)


class SyncCalls(Protocol):
    """Answers the synchronous system calls of one execution."""

    def answer_sync_call(self, op: str, args: bytes) -> tuple[bool, bytes]: ...


@dataclass(slots=True)
class _LoadedBundle:
    number: int
    loaded: asyncio.Future[None]
    sent_at: float
    user_count: int = 0
    has_warm_script: bool = False


class Worker:
    """Start value: alive, nothing loaded. `execution_count` counts reservations of the lane that
    owns it.

    Invariant: every id in `_executions` was announced to the process and has no outcome yet.
    """

    process: WorkerProcess
    ready: Ready

    def __init__(
        self,
        settings: IsolateSettings,
        clock: Clock,
        metrics: IsolateMetrics,
        on_death: Callable[[Worker], None],
    ) -> None:
        self.reservation_count = 0
        # Of these, the ones for functions that are known for long turns.
        self.long_count = 0
        self.is_reserved_alone = False
        self._turn_watch = TurnWatch()
        # Why another should take its place: see `watch`.
        self.worn_by: WorkerEnd | None = None
        # Set by who ends it in peace.
        self.end_reason: WorkerEnd | None = None
        # When the watchdog saw it at work last.
        self.idle_since = clock.monotonic()
        self._watched_execution = 0
        self._abuse: WorkerEnd | None = None
        self._started_at = clock.monotonic()
        self._cpu_seconds = self._turn_seconds = 0.0
        self._watched_at = clock.monotonic()
        # At the last look of the watchdog.
        self.resident_bytes = 0
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._on_death = on_death
        self._bundles: OrderedDict[str, _LoadedBundle] = OrderedDict()
        self._executions: dict[int, tuple[Execution, SyncCalls]] = {}
        # Those that were cancelled last, and what came for them afterwards.
        self._cancelled: OrderedDict[int, None] = OrderedDict()
        self._stray_bytes = 0
        self._next_bundle = 1
        self._next_execution = 1
        self._last_sign = clock.monotonic()
        self._verdict: LossCause | None = None
        self._is_started = False

    @classmethod
    async def start(
        cls,
        command: tuple[str, ...],
        settings: IsolateSettings,
        clock: Clock,
        metrics: IsolateMetrics,
        on_death: Callable[[Worker], None],
    ) -> Worker:
        """A ready worker. Raises: FenchelError operational."""
        worker = cls(settings, clock, metrics, on_death)
        worker.process, worker.ready = await WorkerProcess.start(command, worker, settings)
        worker._is_started = True
        metrics.record_start(clock.monotonic() - worker._started_at)
        return worker

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive

    @property
    def is_busy(self) -> bool:
        return bool(self._executions)

    def has_loaded(self, bundle_key: str) -> bool:
        return bundle_key in self._bundles

    # Executions

    async def execute(
        self,
        bundle: CodeBundle,
        header: ExecuteHeader,
        args_json: str,
        sync_calls: SyncCalls,
        answered: Sequence[AnsweredCall] = (),
        *,
        is_movable: bool = False,
        on_long_turn: Callable[[float], None] | None = None,
    ) -> Execution:
        """Announce an execution; the caller must `release` it. `header.bundle` is filled in here.
        `answered`: calls that it will probably make. `is_movable`: its caller can begin anew.
        `on_long_turn`: told seconds of processor time while a turn of it holds the others up.

        Raises: WorkerLost, FenchelError if the bundle cannot be loaded.
        """
        self._check_alive()
        loaded = await self._load(bundle)
        self._check_alive()
        settings = self._settings
        execution = Execution(
            self._next_execution,
            is_action=header.kind in ("action", "httpAction"),
            is_movable=is_movable,
            silence_seconds_max=header.patience * header.user_timeout_ms / 1000
            + settings.hang_grace_seconds,
            now=self._clock.monotonic(),
            on_long_turn=on_long_turn,
        )
        self._next_execution += 1
        self._executions[execution.id] = (execution, sync_calls)
        header.bundle = loaded.number
        self.process.send(
            FrameType.EXECUTE,
            execution.id,
            encode_json_bytes(header),
            args_json.encode(),
            *encode_answered_calls(answered),
        )
        return execution

    def _check_alive(self) -> None:
        if not self.is_alive or self._next_execution > _UINT32_MAX:
            raise WorkerLost("it died before the start", LossCause.OUTSIDE)

    def release(self, execution: Execution) -> None:
        """End our interest; an execution without outcome is cancelled in the worker."""
        if self._executions.pop(execution.id, None) is not None:
            self._cancelled[execution.id] = None
            if len(self._cancelled) > _CANCELLED_MAX:
                self._cancelled.popitem(last=False)
            self.process.send(FrameType.CANCEL, execution.id)

    async def send_results(
        self, execution: Execution, meta: list[tuple[int, int]], payloads: list[bytes]
    ) -> None:
        """Answer system calls; returns when the worker keeps up. Raises: WorkerLost for one that
        should not wait for the turn of another.
        """
        if self.is_stalled and execution.id != self._turn_watch.turn_id and execution.is_movable:
            raise WorkerLost("its worker is held up by another's turn", LossCause.MOVED)
        self.process.send(FrameType.RESULTS, execution.id, encode_result_meta(meta), *payloads)
        execution.answered(len(meta), self._clock.monotonic())
        await self.process.drain()

    # Bundles

    async def preload(self, bundle: CodeBundle) -> None:
        """Return when the bundle is loaded. Raises: FenchelError if it cannot be; WorkerLost."""
        self._check_alive()
        await self._load(bundle)

    def offer_warm_script(self, bundle_key: str, script: bytes) -> None:
        """Let the bundle run in warm realms from now on, if it is loaded."""
        entry = self._bundles.get(bundle_key)
        if entry is not None and not entry.has_warm_script:
            entry.has_warm_script = True
            self.process.send(FrameType.WARM_SCRIPT, entry.number, script)

    async def _load(self, bundle: CodeBundle) -> _LoadedBundle:
        entry = self._bundles.get(bundle.key)
        if entry is None:
            entry = self._send_bundle(bundle)
            self._bundles[bundle.key] = entry
            self._unload_surplus()
        self._bundles.move_to_end(bundle.key)
        if entry.loaded.done():  # the usual case; one that failed is not kept
            return entry
        entry.user_count += 1
        try:
            await asyncio.shield(entry.loaded)
        finally:
            entry.user_count -= 1
        return entry

    def _send_bundle(self, bundle: CodeBundle) -> _LoadedBundle:
        number = self._next_bundle
        self._next_bundle += 1
        loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.process.send(
            FrameType.LOAD,
            number,
            encode_json_bytes(load_header(bundle, self._settings)),
            bundle.script,
            bundle.source_map,
            bundle.snapshot or b"",
        )
        return _LoadedBundle(number, loaded, self._clock.monotonic())

    def _unload_surplus(self) -> None:
        """Drop the least recently used bundles; running executions keep theirs inside the
        worker.
        """
        idle = [key for key, entry in self._bundles.items() if entry.user_count == 0]
        surplus = len(self._bundles) - self._settings.bundles_per_worker_max
        for key in idle[: max(surplus, 0)]:
            self.process.send(FrameType.UNLOAD, self._bundles.pop(key).number)

    # Frames

    def on_frame(self, frame: Frame) -> None:
        """Raises: ProtocolError."""
        self._last_sign = self._clock.monotonic()
        if frame.type == FrameType.LOADED:
            self._finish_load(frame)
            return
        entry = self._executions.get(frame.id)
        if entry is None:
            self._check_stray(frame)
            return
        execution = entry[0]
        size_bytes = sum(map(len, frame.fields))
        match frame.type:
            case FrameType.SYSCALLS:
                execution.deliver(decode_syscalls(frame), size_bytes)
            case FrameType.LOG:
                execution.deliver(LogLines(decode_log(frame)), size_bytes)
            case FrameType.OUTCOME:
                outcome = decode_outcome(frame)
                self._abuse = self._abuse or _ABUSES.get(outcome.header.kind)
                execution.was_sole = len(self._executions) == 1
                del self._executions[frame.id]
                execution.deliver(outcome, size_bytes)
            case _:
                raise ProtocolError(f"unexpected frame type {frame.type}")

    def _check_stray(self, frame: Frame) -> None:
        """Frames of an execution that was cancelled may still be on their way, within bounds.

        Raises: ProtocolError.
        """
        if frame.id not in self._cancelled:
            raise ProtocolError("a frame for an execution that never was or has its outcome")
        self._stray_bytes += _STRAY_FRAME_BYTES + sum(map(len, frame.fields))
        if self._stray_bytes > _STRAY_BYTES_MAX:
            raise ProtocolError("a flood for executions that were cancelled")

    def _finish_load(self, frame: Frame) -> None:
        loaded = decode_loaded(frame)
        for key, entry in self._bundles.items():
            if entry.number == frame.id:
                if entry.loaded.done():
                    raise ProtocolError("a bundle was loaded twice")
                seconds = self._clock.monotonic() - entry.sent_at
                self._metrics.record_load(seconds, is_success=loaded.ok)
                if loaded.ok:
                    entry.loaded.set_result(None)
                else:
                    del self._bundles[key]
                    message = f"a bundle cannot be loaded: {loaded.message}"
                    _fail(entry.loaded, internal_error(message))
                return
        if frame.id >= self._next_bundle:
            raise ProtocolError("LOADED for a bundle that was never sent")

    def on_sync_call(self, frame: Frame) -> tuple[bool, bytes]:
        """Raises: ProtocolError."""
        self._last_sign = self._clock.monotonic()
        op, args = decode_sync_call(frame)
        entry = self._executions.get(frame.id)
        if entry is None:
            return False, _UNKNOWN_EXECUTION
        entry[0].is_movable &= not entry[0].is_action
        try:
            return entry[1].answer_sync_call(op, args)
        except Exception:  # Outermost frame; JavaScript waits for an answer whatever happens.
            logger.exception("synchronous call failed op=%s", op)
            return False, _INTERNAL_ERROR

    # Turns

    @property
    def is_stalled(self) -> bool:
        """Whether a turn that goes on and on holds up whatever else is sent here."""
        return self._turn_watch.is_stalled and self._turn_watch.last_sign == self._last_sign

    def look(self, now: float) -> None:
        """Find out whether a turn holds the others up; those who can run elsewhere leave."""
        if not self.is_alive or not (self._executions or self._turn_watch.is_stalled):
            return
        turn_id = self.process.read_marker()
        self._turn_watch.look(
            last_sign=self._last_sign,
            turn_id=turn_id,
            cpu_seconds=read_cpu_seconds(self.process.pid),
            now=now,
            seconds_max=_PREPARATION_SECONDS
            if turn_id == _NOBODYS_TURN
            else self._settings.shared_turn_seconds_max,
        )
        if self._turn_watch.is_stalled:
            for id, (execution, _) in self._executions.items():
                if id != turn_id:
                    execution.move_away()
                elif execution.on_long_turn is not None:
                    execution.on_long_turn(self._turn_watch.turn_seconds)

    # Death

    def watch(self, now: float) -> None:
        """Kill the process if it is silent for too long or uses too much memory; call it worn when
        it is old, was abused, or keeps more memory than service takes.
        """
        if not self.is_alive:
            return
        resident_bytes = self.resident_bytes = read_resident_bytes(self.process.pid)
        self.worn_by = self._wear(resident_bytes, now)
        if self._executions or self._next_execution != self._watched_execution:
            self.idle_since, self._watched_execution = now, self._next_execution
        self._watch_turn(now)
        if resident_bytes > self._settings.worker_resident_bytes_max:
            self._verdict = LossCause.MEMORY
            self.process.kill(f"{resident_bytes >> 20} MiB of memory are too much")
        elif self._is_hung(now):
            self._verdict = LossCause.HUNG
            self.process.kill("no sign of life inside a JavaScript turn")
        elif self._turn_seconds > self._abandoned_seconds_max and not self._is_awaited:
            self.end_reason = WorkerEnd.ABANDONED
            self.process.kill("it computes for nobody")

    def _wear(self, resident_bytes: int, now: float) -> WorkerEnd | None:
        settings = self._settings
        if self._abuse is not None:
            return self._abuse
        if resident_bytes > settings.worker_resident_bytes_worn:
            return WorkerEnd.MEMORY_CARRY_OVER
        if now - self._started_at > settings.worker_seconds_max:
            return WorkerEnd.MAX_LIFETIME
        is_used_up = self._next_execution > settings.worker_executions_max
        return WorkerEnd.MAX_EXECUTIONS if is_used_up else None

    @property
    def _abandoned_seconds_max(self) -> float:
        is_preparing = self.process.read_marker() == _NOBODYS_TURN
        return _LOAD_SECONDS_MAX if is_preparing else _ABANDONED_TURN_SECONDS_MIN

    @property
    def _is_awaited(self) -> bool:
        return bool(self._executions) or not all(
            entry.loaded.done() for entry in self._bundles.values()
        )

    def _watch_turn(self, now: float) -> None:
        """How much of its processor time a worker has used since it was silent."""
        cpu_seconds = read_cpu_seconds(self.process.pid)
        is_silent = self._last_sign < self._watched_at
        used_seconds = cpu_seconds - self._cpu_seconds
        if is_silent and used_seconds >= _LOOK_SECONDS_MIN:
            self._turn_seconds += used_seconds
        else:
            self._turn_seconds = 0.0
        self._cpu_seconds, self._watched_at = cpu_seconds, now

    def _is_hung(self, now: float) -> bool:
        silent_from = self._last_sign
        for execution, _ in self._executions.values():
            seconds = execution.silent_seconds(silent_from, now)
            patience = (
                1 if self._turn_seconds > execution.silence_seconds_max / 2 else _IDLE_PATIENCE
            )
            if seconds > patience * execution.silence_seconds_max:
                return True
        return any(
            not entry.loaded.done()
            and now - max(self._last_sign, entry.sent_at) > _LOAD_SECONDS_MAX
            for entry in self._bundles.values()
        )

    def on_death(self, reason: str) -> None:
        """The owner may replace it; its executions wait for `on_buried`."""
        if self._is_started:  # Otherwise `start` raises.
            self._on_death(self)

    def on_buried(self, end: ProcessEnd) -> None:
        """Tell everyone who waits for this worker why there will be no answer."""
        cause = self._verdict or _cause_of(end)
        if self._is_started:
            by_itself = _ENDS_BY_LOSS.get(cause)
            self._metrics.record_end(by_itself or self.end_reason or WorkerEnd.SYSTEM_ERROR)
        is_sole = len(self._executions) == 1 and self._abuse is None
        for execution, _ in self._executions.values():
            execution.lose(WorkerLost(end.reason, cause, is_sole=is_sole))
        self._executions.clear()
        for entry in self._bundles.values():
            if not entry.loaded.done():
                _fail(entry.loaded, WorkerLost(end.reason, cause))


def _cause_of(end: ProcessEnd) -> LossCause:
    """A process that we ended broke the protocol; V8 and the C++ library abort when memory ends;
    every other signal comes from outside, be it an operator's or the kernel's.
    """
    if end.is_ours or end.signal == 0:
        return LossCause.BROKEN
    return LossCause.CRASHED if end.signal in _CRASH_SIGNALS else LossCause.OUTSIDE


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    future.set_exception(error)
    future.exception()  # Retrieved here too: nobody may be waiting.
