"""Time that jumps: an event loop whose clock moves only when every task is blocked.

An hour of backoff costs nothing, and the same program gives the same order of events each time. For
code that stays on its loop: no threads, no sockets. Rejected: async-solipsism (its licence does not
fit ours), looptime (steps through real time in small waits, so order depends on the machine).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from fenchel.runtime import SystemClock

Result = TypeVar("Result")

_EPOCH_NS = 1_700_000_000_000_000_000
_NANOSECONDS = 1_000_000_000
_RESOLUTION_SECONDS = 1e-6


class VirtualDeadlockError(Exception):
    """Every task waits and no timer is set: nothing would ever happen again."""


class _JumpingSelector(selectors.BaseSelector):
    """Knows no I/O: waiting moves the clock."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise VirtualDeadlockError("all tasks are blocked and no timer is set")
        self.seconds += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """The loop's own wake-up pipe, which only other threads would use."""
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and jumps to the next timer when nothing is ready."""

    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)
        # Far from zero a float cannot show the default of a nanosecond: a due timer would never
        # be found due.
        self._clock_resolution = _RESOLUTION_SECONDS

    def time(self) -> float:
        return self._virtual.seconds


class VirtualClock:
    """The `Clock` of a virtual loop. `skew_ns` may be changed: wall clocks are set, also back."""

    def __init__(self) -> None:
        self.skew_ns = 0
        self._system = SystemClock()

    def now_ns(self) -> int:
        return _EPOCH_NS + self.skew_ns + int(self.monotonic() * _NANOSECONDS)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await self._system.sleep(seconds)


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """What `main` returns on a fresh virtual loop. Raises: VirtualDeadlockError, and what it
    raises."""
    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        return runner.run(main)
