"""The right to write: the epoch in the lease row, and the watch over it.

Opening counts the epoch up, so the server that opened last owns the data; each write checks and
locks the row. The owner listens for a take-over and asks for the row now and then: it must not
answer readers from memory once somebody else may have written. Decision 0018.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, cast

from fenchel.errors import ErrorKind, FenchelError, internal_error, overloaded
from fenchel.persistence import postgres_layout as layout
from fenchel.persistence.persistence import LeaseLostError
from fenchel.persistence.postgres_address import DRIVER_ERRORS, PostgresAddress
from fenchel.runtime import Clock

_log = logging.getLogger(__name__)

# The take-over waits for the write that an earlier server has begun.
_TAKE_SECONDS_MAX: Final = 60.0
# How often the owner asks, in case that a notice was lost; how long the answer may take.
_ASK_PAUSE_SECONDS: Final = 2.0
_ASK_SECONDS_MAX: Final = 5.0
# Without an answer for so long readers are refused: another server may have taken over.
_SILENCE_SECONDS_MAX: Final = 10.0
# Others count up by one, so no two servers ever have the same epoch, and one server's have all the
# same remainder.
_RETAKE_STEP: Final = 1 << 32


class PostgresLease:
    """Ownership of one database. `lost` starts unset and is set once, when another server owns it.

    `epoch` is the owner's; between the start and the end of `retake` the row may already hold
    `epoch` plus the step. `_confirmed_seconds` is when the row was last seen to be ours.
    """

    def __init__(self, address: PostgresAddress, clock: Clock, epoch: int) -> None:
        self.epoch = epoch
        self.lost = asyncio.Event()
        self._address = address
        self._clock = clock
        self._confirmed_seconds = clock.monotonic()
        self._news = asyncio.Event()

    @classmethod
    async def take(cls, connection: Any, address: PostgresAddress, clock: Clock) -> PostgresLease:
        """Own the data; create the layout in an empty database. From here on no earlier server can
        write. Raises: DatabaseTooNew, the driver's errors."""
        async with asyncio.timeout(_TAKE_SECONDS_MAX), connection.transaction():
            await connection.execute(layout.LOCK_LAYOUT)
            if not await connection.fetchval(layout.HAS_LAYOUT):
                await connection.execute(layout.CREATE_SCHEMA)
                await connection.execute(layout.CREATE_LAYOUT)
            version = await connection.fetchval(layout.LOAD_LAYOUT_VERSION)
            if version > layout.LAYOUT_VERSION:
                raise _too_new(address, version)
            epoch = cast("int", await connection.fetchval(layout.TAKE_LEASE))
            await connection.execute(layout.NOTIFY_TAKEN)
        # Of a large database of an older version it may take its time.
        if not await connection.fetchval(layout.HAS_DELETIONS):
            await connection.execute(layout.CREATE_DELETIONS)
        return cls(address, clock, epoch)

    async def retake(self, connection: Any) -> None:
        """A new epoch for the same owner: statements that were sent with the old one, and may still
        be on their way, have happened by now or never will.

        Raises: an internal error if another server was faster; the driver's errors.
        """
        epochs = (self.epoch, self.epoch + _RETAKE_STEP)
        found = await connection.fetchval(
            layout.RETAKE_LEASE, list(epochs), epochs[1], timeout=_TAKE_SECONDS_MAX
        )
        if found is None:
            self._lose()
            raise internal_error("another server has taken over after a write of unknown outcome")
        self.epoch = epochs[1]

    def lose(self) -> NoReturn:
        """Raises: LeaseLostError; whoever waits for `lost` learns it."""
        self._lose()
        raise LeaseLostError(str(self._address))

    def check_not_lost(self) -> None:
        """Raises: LeaseLostError."""
        if self.lost.is_set():
            raise LeaseLostError(str(self._address))

    def check(self) -> None:
        """Raises: LeaseLostError, or DatabaseUnreachable when nobody knows whose the data is."""
        self.check_not_lost()
        if self._clock.monotonic() - self._confirmed_seconds > _SILENCE_SECONDS_MAX:
            raise unreachable()

    async def watch(self, connect: Callable[[], Awaitable[Any]]) -> None:
        """Until the lease is lost, or cancelled. A lost connection is made again."""
        while not self.lost.is_set():
            try:
                connection = await connect()
                try:
                    await self._watch(connection)
                finally:
                    connection.terminate()
            except DRIVER_ERRORS as error:
                _log.warning("cannot ask for the lease of %s: %s", self._address, error)
                await self._clock.sleep(_ASK_PAUSE_SECONDS)

    async def _watch(self, connection: Any) -> None:
        await connection.add_listener(layout.LEASE_CHANNEL, self._hear)
        while True:
            self._news.clear()
            epoch = await connection.fetchval(layout.LOAD_EPOCH, timeout=_ASK_SECONDS_MAX)
            if not self._is_own(epoch):
                self._lose()
                return
            self._confirmed_seconds = self._clock.monotonic()
            try:
                async with asyncio.timeout(_ASK_PAUSE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _is_own(self, epoch: int) -> bool:
        """Also one that `retake` has passed since: the answer may be older than the retaking."""
        return (epoch - self.epoch) % _RETAKE_STEP == 0

    def _hear(self, *_: object) -> None:
        """Somebody has taken the lease, maybe long ago: look."""
        self._news.set()

    def _lose(self) -> None:
        if not self.lost.is_set():
            _log.warning("lost the lease of %s", self._address)
            self.lost.set()


def unreachable() -> FenchelError:
    """For clients, who must not learn where the database is; the log says it."""
    return overloaded(
        "DatabaseUnreachable", "The database does not answer at the moment. Try again later."
    )


def _too_new(address: PostgresAddress, version: int) -> FenchelError:
    return FenchelError(
        ErrorKind.OPERATIONAL,
        "DatabaseTooNew",
        f"The data in {address} has layout {version}; this version of Fenchel knows layouts up to "
        f"{layout.LAYOUT_VERSION}. Use a newer version.",
    )
