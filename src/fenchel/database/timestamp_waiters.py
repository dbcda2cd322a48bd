"""Who waits until a timestamp is published (database specification 8.4)."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from fenchel.documents import Timestamp
from fenchel.errors import FenchelError


class TimestampWaiters:
    """Futures by timestamp, earliest first. Cancelled ones stay until their timestamp passes.

    `_reached_ts` starts at zero and only grows, in `advance`.
    """

    def __init__(self) -> None:
        self._reached_ts = Timestamp(0)
        self._waiting: list[tuple[Timestamp, int, asyncio.Future[None]]] = []
        self._serial = count()

    async def wait(self, ts: Timestamp) -> None:
        """Return once `advance` has reached `ts`. The caller sets the deadline."""
        if ts <= self._reached_ts:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (ts, next(self._serial), future))
        await future

    def advance(self, ts: Timestamp) -> None:
        """Wake everybody who waits for `ts` or an earlier timestamp: whatever was to happen up to
        then is published, or will never be."""
        if ts > self._reached_ts:
            self._reached_ts = ts
        while self._waiting and self._waiting[0][0] <= ts:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)

    def fail(self, error: FenchelError) -> None:
        """Nothing will be published any more."""
        for _, _, future in self._waiting:
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()
