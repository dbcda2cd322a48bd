"""The connections that read from Postgres. The driver's own pool costs as much as a point read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

_COUNT_MAX: Final = 8
_SECONDS_MAX: Final = 30.0


class PostgresReaders:
    """A few connections for statements outside of transactions, opened when needed.

    Invariant: a connection is either used by one `fetch` or idle; what failed is not used again.
    The one used last is used next. More readers than connections wait for their turn.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._idle: list[Any] = []
        self._turns = asyncio.Semaphore(_COUNT_MAX)
        self._is_closed = False

    async def fetch(self, statement: str, *arguments: object) -> list[Any]:
        """All rows. Raises: TimeoutError after 30 s of waiting or reading; the driver's errors."""
        await self._take_turn()
        try:
            connection = self._pop_idle() or await self._connect()
            try:
                rows = await connection.fetch(statement, *arguments, timeout=_SECONDS_MAX)
            except BaseException:
                connection.terminate()
                raise
            if self._is_closed:
                connection.terminate()
            else:
                self._idle.append(connection)
            return cast("list[Any]", rows)
        finally:
            self._turns.release()

    async def close(self) -> None:
        """End the idle connections now, and each busy one when its read has ended."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().close()

    def terminate(self) -> None:
        """As `close`, without a farewell to the server."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().terminate()

    async def _take_turn(self) -> None:
        if not self._turns.locked():
            # Does not wait; a deadline would cost more than the turn.
            await self._turns.acquire()
            return
        async with asyncio.timeout(_SECONDS_MAX):
            await self._turns.acquire()

    def _pop_idle(self) -> Any:
        """The connection that was used last and still lives, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None
