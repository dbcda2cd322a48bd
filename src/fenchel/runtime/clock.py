"""Time for every room. Nothing else may ask the operating system for it, so a test can own it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, elapsed time and waiting."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch; may jump when the system clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for measuring durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time; zero or less yields once."""
        ...


class SystemClock:
    """The operating system's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))
