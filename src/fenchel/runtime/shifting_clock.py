"""A clock that goes on like another one and can be put forward, for test mode.

Only the composition root and what puts it forward know that the clock is of this kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fenchel.runtime.clock import Clock, SystemClock

_NANOSECONDS = 1_000_000_000


class ShiftingClock:
    """`base` plus an offset that starts at 0 and only grows, so that no time happens twice.

    Wall and monotonic time move together: deadlines and sleeps end as if the time had passed.
    """

    def __init__(self, base: Clock | None = None) -> None:
        self.base = base or SystemClock()
        self._offset_ns = 0
        # And when each is due, in monotonic time.
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def now_ns(self) -> int:
        return self.base.now_ns() + self._offset_ns

    def monotonic(self) -> float:
        return self.base.monotonic() + self._offset_ns / _NANOSECONDS

    def advance_to(self, now_ns: int) -> None:
        """Make it at least this time, and wake everyone whose time has come, in that order."""
        missing_ns = now_ns - self.now_ns()
        if missing_ns <= 0:
            return
        self._offset_ns += missing_ns
        for sleeper in sorted(self._sleepers, key=self._sleepers.__getitem__):
            _wake(sleeper)

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Counts from the call: the time may move before the coroutine first runs, and who waits
        until something is due would sleep on."""
        return self._sleep_until(self.monotonic() + seconds)

    async def _sleep_until(self, end: float) -> None:
        if end <= self.monotonic():
            await self.base.sleep(0)
        while (rest_seconds := end - self.monotonic()) > 0:
            await self._nap(rest_seconds)

    async def _nap(self, seconds: float) -> None:
        """Return after so many seconds of the event loop, or when the time has moved."""
        loop = asyncio.get_running_loop()
        sleeper = loop.create_future()
        timer = loop.call_later(seconds, _wake, sleeper)
        self._sleepers[sleeper] = self.monotonic() + seconds
        try:
            await sleeper
        finally:
            timer.cancel()
            del self._sleepers[sleeper]


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
