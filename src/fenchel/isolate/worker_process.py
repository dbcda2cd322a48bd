"""One worker process and its two channels: starting, frames in and out, death.

Never half trusted: whatever goes wrong while talking to it (bad frame, end of stream, deadline)
kills it, and its death is told exactly once. What the frames mean is the business of `worker.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fenchel.errors import internal_error
from fenchel.isolate.frames import (
    Frame,
    FrameDecoder,
    FrameType,
    ProtocolError,
    encode_frame,
)
from fenchel.isolate.messages import Ready, decode_ready
from fenchel.isolate.spawn import SpawnedProcess, kill_group, reap, spawn_worker
from fenchel.runtime.settings import IsolateSettings

logger = logging.getLogger(__name__)

_DIAGNOSTICS_BYTES_MAX = 4096
_SYNC_READ_BYTES = 65_536
_BURY_SECONDS_MAX = 5.0


class FrameHandler(Protocol):
    """Who understands the frames. Both methods may raise ProtocolError, which kills the worker."""

    def on_frame(self, frame: Frame) -> None: ...

    def on_sync_call(self, frame: Frame) -> tuple[bool, bytes]:
        """Success and payload, at once: the worker's JavaScript is waiting."""
        ...

    def on_death(self, reason: str) -> None:
        """Called once; no frame comes after it."""
        ...

    def on_buried(self, end: ProcessEnd) -> None:
        """Called once, some time after `on_death`, when it is known how the process ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How a process ended. `reason`: why we gave it up; `signal`: what ended it, 0 for an exit;
    `is_ours`: we decided so, the process had not closed its channel before.
    """

    reason: str
    signal: int
    is_ours: bool


class WorkerProcess:
    """Life: `start` gives a ready worker; then alive; `kill` or any failure makes it dead, for
    good.

    `is_alive` turns False before `on_death` is called. `wait_dead` returns when the process has
    been reaped.
    """

    def __init__(self, process: SpawnedProcess, handler: FrameHandler) -> None:
        self.pid = process.pid
        self.is_alive = True
        self._process = process
        self._handler = handler
        self._decoder = FrameDecoder()
        self._sync_decoder = FrameDecoder()
        self._diagnostics = bytearray()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Ready] = self._loop.create_future()
        self._is_ready = False
        self._outbox: list[bytes] = []
        self._writable: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._reaper: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, command: tuple[str, ...], handler: FrameHandler, settings: IsolateSettings
    ) -> tuple[WorkerProcess, Ready]:
        """A process that said READY in time. Raises: FenchelError operational."""
        try:
            process = spawn_worker(command)
        except OSError as error:
            raise internal_error(f"cannot start an isolate worker: {error}") from error
        worker = cls(process, handler)
        try:
            async with asyncio.timeout(settings.worker_start_seconds_max):
                await worker._open_channels()
                return worker, await worker._ready
        except BaseException as error:
            worker.kill("failed to start")
            await worker.wait_dead()
            if isinstance(error, TimeoutError):
                raise internal_error("an isolate worker was not ready in time") from error
            raise

    async def _open_channels(self) -> None:
        """The asynchronous channel first: from its start on, `kill` can close everything."""
        process = self._process
        await self._loop.create_unix_connection(
            lambda: _ChannelProtocol(self), sock=process.channel
        )
        if self.is_alive:
            process.sync_channel.setblocking(False)
            os.set_blocking(process.diagnostics, False)
            self._loop.add_reader(process.sync_channel.fileno(), self._read_sync_channel)
            self._loop.add_reader(process.diagnostics, self._read_diagnostics)

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    # Sending

    def send(self, type: FrameType, id: int, *fields: bytes) -> None:
        """Queue one frame; nothing happens if the worker is dead, for its death was told
        already.

        Frames of one turn of the event loop leave in one write: each write wakes the worker.
        """
        if self._transport is None or not self.is_alive:
            return
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(encode_frame(type, id, *fields))

    def _flush(self) -> None:
        if self._transport is not None and self.is_alive:
            self._transport.write(b"".join(self._outbox))
        self._outbox.clear()

    def read_marker(self) -> int:
        """Id of the execution whose turn began last, for all that the worker says. The process is
        alive.
        """
        return self._process.read_marker()

    async def drain(self) -> None:
        """Return when the worker keeps up with what was sent; at once in the usual case or when it
        is dead.
        """
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # Receiving

    def data_received(self, data: bytes) -> None:
        """Bytes of the asynchronous channel."""
        self._guarded(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if not self.is_alive:
                return
            if self._is_ready:
                self._handler.on_frame(frame)
            else:
                self._accept_ready(frame)

    def _accept_ready(self, frame: Frame) -> None:
        if frame.type != FrameType.READY:
            raise ProtocolError("the first frame is not READY")
        self._is_ready = True
        self._ready.set_result(decode_ready(frame))

    def _read_sync_channel(self) -> None:
        try:
            data = self._process.sync_channel.recv(_SYNC_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.give_up(f"synchronous channel failed: {error}")
            return
        if data:
            self._guarded(self._answer_sync_calls, data)
        else:
            self.give_up("synchronous channel closed")

    def _answer_sync_calls(self, data: bytes) -> None:
        for frame in self._sync_decoder.feed(data):
            if frame.type != FrameType.SYNC_CALL or not self._is_ready:
                raise ProtocolError("not a synchronous call")
            is_success, payload = self._handler.on_sync_call(frame)
            answer = encode_frame(
                FrameType.SYNC_RESULT, frame.id, b"1" if is_success else b"0", payload
            )
            # The worker is blocked until it has read the answer, so its buffer is empty and takes
            # it whole.
            if self._process.sync_channel.send(answer) != len(answer):
                raise ProtocolError("synchronous answer does not fit the channel")

    def _guarded(self, consume: Callable[[bytes], None], data: bytes) -> None:
        try:
            consume(data)
        except (ProtocolError, OSError) as error:
            self.kill(f"{type(error).__name__}: {error}")

    def _read_diagnostics(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._process.diagnostics, _DIAGNOSTICS_BYTES_MAX)
            if data:
                self._diagnostics += data
                del self._diagnostics[:-_DIAGNOSTICS_BYTES_MAX]
            else:
                self._loop.remove_reader(self._process.diagnostics)

    # Death

    def kill(self, reason: str) -> None:
        """End the process at once; harmless if it is dead."""
        self._end(reason, is_ours=True)

    def give_up(self, reason: str) -> None:
        """The process closed a channel: it has ended, or is made to. Harmless if that is known."""
        self._end(reason, is_ours=False)

    def _end(self, reason: str, *, is_ours: bool) -> None:
        if not self.is_alive:
            return
        self.is_alive = False
        kill_group(self.pid)
        self._loop.remove_reader(self._process.sync_channel.fileno())
        self._reaper = self._loop.create_task(self._bury(reason, is_ours), name=f"reap-{self.pid}")
        if self._transport is not None:
            self._transport.abort()
        self.resume_writing()
        if not self._ready.done():
            self._ready.set_exception(internal_error(f"an isolate worker died: {reason}"))
            self._ready.exception()
        self._handler.on_death(reason)

    async def _bury(self, reason: str, is_ours: bool) -> None:
        status = await reap(self.pid)
        self._read_diagnostics()
        self._loop.remove_reader(self._process.diagnostics)
        self._process.close()
        last_words = self._diagnostics.decode(errors="replace").strip()
        logger.info(
            "isolate worker ended pid=%d reason=%r status=%d said=%r",
            self.pid,
            reason,
            status,
            last_words,
        )
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self._handler.on_buried(ProcessEnd(reason=reason, signal=number, is_ours=is_ours))

    async def wait_dead(self) -> None:
        """Return when the killed process is gone and its channels are closed. Cancellation waits
        for that too: it takes milliseconds, and what is left half closed would leak.
        """
        cancelled: asyncio.CancelledError | None = None
        while self._reaper is not None and not self._reaper.done():
            try:
                async with asyncio.timeout(_BURY_SECONDS_MAX):
                    await asyncio.shield(self._reaper)
            except asyncio.CancelledError as error:
                cancelled = error
            except TimeoutError:
                logger.error("a killed isolate worker does not end pid=%d", self.pid)
                break
        if cancelled is not None:
            raise cancelled


class _ChannelProtocol(asyncio.Protocol):
    """The event loop's view of the asynchronous channel."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self.connection_made = worker.connection_made  # type: ignore[assignment,method-assign]
        self.data_received = worker.data_received  # type: ignore[method-assign]
        self.pause_writing = worker.pause_writing  # type: ignore[method-assign]
        self.resume_writing = worker.resume_writing  # type: ignore[method-assign]

    def connection_lost(self, error: Exception | None) -> None:
        self._worker.give_up(f"channel closed: {error}" if error else "channel closed")
