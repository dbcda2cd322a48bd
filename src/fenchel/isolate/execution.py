"""One execution inside a worker, seen from the backend: whose turn it is and what arrived
meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from fenchel.isolate.frames import ProtocolError
from fenchel.isolate.messages import Outcome, Syscall, WorkerLogLine

# A worker that sends faster than it is answered; far above what the memory of an isolate can hold.
_WAITING_EVENTS_MAX = 4096
_WAITING_BYTES_MAX = 256 << 20

Syscalls = list[Syscall]


class LogLines(NamedTuple):
    lines: list[WorkerLogLine]


Event = Syscalls | LogLines | Outcome


class LossCause(Enum):
    """Why an execution has no outcome.

    OUTSIDE: nothing that ran in the worker did it (a signal from someone else, a worker that was
    dead before the start). ISOLATE: the isolate that it shared ran out of memory. STARVED: the
    machine did not give it the processor time that it may use. The others may be the execution's
    own doing. HUNG, MEMORY: the watchdog ended the worker for silence or for
    memory. REALM: the realm that it shared with earlier executions cannot run it as a fresh one
    would. CRASHED: V8 or the process gave up, as it does when memory ends. BROKEN: the worker
    broke the protocol or left by itself. MOVED: its worker is well, but held up by the turn of
    another.
    """

    OUTSIDE = "outside"
    ISOLATE = "isolate"
    STARVED = "starved"
    REALM = "realm"
    MOVED = "moved"
    HUNG = "hung"
    MEMORY = "memory"
    CRASHED = "crashed"
    BROKEN = "broken"


class WorkerLost(Exception):
    """The worker, or the isolate in it, was lost before the outcome. Says nothing about guilt: only
    who had the worker alone can be the reason. `fault`: what its realm, for cause REALM, cannot do.
    """

    def __init__(
        self, reason: str, cause: LossCause, *, is_sole: bool = False, fault: str = ""
    ) -> None:
        super().__init__(reason)
        self.cause = cause
        self.fault = fault
        # Nothing else ran there, and nothing before had gone wrong.
        self.is_sole = is_sole


class Execution:
    """Life: running, then exactly one of done (its outcome was delivered), lost (its worker died),
    cancelled.

    Invariant: `outstanding` is the number of system calls received and not yet answered. At zero
    the worker has the ball, since `ball_since` (monotonic seconds); an action may run JavaScript at
    any time, so its worker always has it.
    """

    __slots__ = (
        "_events",
        "_lost",
        "_waiter",
        "_waiting_bytes",
        "ball_since",
        "id",
        "is_action",
        "is_done",
        "is_movable",
        "on_long_turn",
        "outstanding",
        "silence_seconds_max",
        "was_sole",
    )

    def __init__(
        self,
        id: int,
        *,
        is_action: bool,
        is_movable: bool,
        silence_seconds_max: float,
        now: float,
        on_long_turn: Callable[[float], None] | None = None,
    ) -> None:
        self.id = id
        # Told again and again for how long a turn of it has computed that holds the others up.
        self.on_long_turn = on_long_turn
        # Whether it may begin anew elsewhere: an action only until something is heard of it.
        self.is_movable = is_movable
        self.is_action = is_action
        self.is_done = False
        # When its outcome came: whether no other was in the worker.
        self.was_sole = False
        self.outstanding = 0
        self.ball_since = now
        self.silence_seconds_max = silence_seconds_max
        self._events: deque[tuple[Event, int]] = deque()
        self._waiting_bytes = 0
        self._lost: WorkerLost | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_suspect(self) -> bool:
        """True if this execution's JavaScript may be running now."""
        return self.is_action or self.outstanding == 0

    def silent_seconds(self, last_sign: float, now: float) -> float:
        """For how long the worker has had the ball and nothing was heard of it."""
        return now - max(last_sign, self.ball_since) if self.is_suspect else 0.0

    def deliver(self, event: Event, size_bytes: int) -> None:
        """Queue what the worker said. Raises: ProtocolError if it floods."""
        if isinstance(event, Outcome):
            self.is_done = True
        elif isinstance(event, list):
            self.outstanding += len(event)
        self.is_movable &= not self.is_action
        self._waiting_bytes += size_bytes
        self._events.append((event, size_bytes))
        if len(self._events) > _WAITING_EVENTS_MAX or self._waiting_bytes > _WAITING_BYTES_MAX:
            raise ProtocolError("an execution floods its channel")
        self._wake()

    def move_away(self) -> None:
        """Have it run elsewhere if it may be running or waiting for its turn here, and can."""
        if self.is_movable and self.is_suspect and self._lost is None:
            self.lose(WorkerLost("its worker is held up by another's turn", LossCause.MOVED))

    def lose(self, lost: WorkerLost) -> None:
        self._lost = lost
        self._wake()

    def answered(self, count: int, now: float) -> None:
        """`count` results are on their way to the worker."""
        self.outstanding -= count
        self.ball_since = now

    async def next_event(self) -> Event:
        """The next thing that the worker said; one caller at a time. Raises: WorkerLost."""
        while not self._events:
            if self._lost is not None:
                raise self._lost
            assert self._waiter is None, "two tasks wait for one execution"
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event, size_bytes = self._events.popleft()
        self._waiting_bytes -= size_bytes
        return event

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
