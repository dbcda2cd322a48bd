"""Turns for transactions that keep losing: first come, first served, among those that conflict.

Whoever has lost too often asks with the reads and writes of the lost attempt. While it holds its
turn, commits of others that would touch those reads wait, so its next attempt cannot lose to them.
Askers that do not conflict with each other hold at the same time. Decision 0009.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from fenchel.database.read_set import IndexWrite, ReadSet, touches

IndexWrites = Mapping[bytes, Sequence[IndexWrite]]


class Reservation:
    """One turn. `is_held` starts False, becomes True with the turn, and False for good at its end.

    `number` gives the order of asking.
    """

    __slots__ = ("expiry", "is_held", "number", "reads", "turn", "writes")

    def __init__(self, number: int, reads: ReadSet, writes: IndexWrites) -> None:
        self.number = number
        self.reads = reads
        self.writes = writes
        self.is_held = False
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.expiry: asyncio.TimerHandle | None = None

    def conflicts_with(self, other: Reservation) -> bool:
        """Whether one of the two would make the other lose, if both do again what they did."""
        return is_touched(self.reads, other.writes) or is_touched(other.reads, self.writes)


class Reservations:
    """The line of those who hold or wait for a turn, in the order of asking.

    Invariant: nobody waits who conflicts with no earlier one; holders among themselves do not
    conflict.
    """

    def __init__(self, *, seconds_max: float, on_end: Callable[[], None]) -> None:
        self._seconds_max = seconds_max
        self._on_end = on_end
        self._line: dict[int, Reservation] = {}
        self._last_number = 0

    @property
    def count(self) -> int:
        return len(self._line)

    def ask(self, reads: ReadSet, writes: IndexWrites) -> Reservation:
        """Join the line. `turn` is done when the turn has come, or when the line is closed."""
        self._last_number += 1
        reservation = Reservation(self._last_number, reads, writes)
        self._line[reservation.number] = reservation
        self._grant_if_first(reservation)
        return reservation

    def end(self, reservation: Reservation) -> None:
        """Leave the line; those behind may get their turn. A second call does nothing."""
        if self._line.pop(reservation.number, None) is None:
            return
        reservation.is_held = False
        if reservation.expiry is not None:
            reservation.expiry.cancel()
        for waiting in list(self._line.values()):
            if waiting.number > reservation.number and not waiting.is_held:
                self._grant_if_first(waiting)
        self._on_end()

    def close(self) -> None:
        """End all turns; whoever waits goes on without one."""
        for reservation in list(self._line.values()):
            del self._line[reservation.number]
            reservation.is_held = False
            if reservation.expiry is not None:
                reservation.expiry.cancel()
            _resolve(reservation.turn)
        self._on_end()

    def must_wait(self, writes: IndexWrites, own: Reservation | None) -> bool:
        """Whether a commit would make a holder lose. Holders wait only for earlier ones, so two
        never wait for each other."""
        for holder in self._line.values():
            if own is not None and own.is_held and own.number <= holder.number:
                return False
            if holder.is_held and is_touched(holder.reads, writes):
                return True
        return False

    def check_invariants(self) -> None:
        earlier: list[Reservation] = []
        for reservation in self._line.values():
            has_rival = any(reservation.conflicts_with(other) for other in earlier)
            assert reservation.is_held != has_rival
            earlier.append(reservation)

    def _grant_if_first(self, reservation: Reservation) -> None:
        """Give the turn if no earlier one in the line conflicts."""
        for earlier in self._line.values():
            if earlier is reservation:
                break
            if reservation.conflicts_with(earlier):
                return
        reservation.is_held = True
        loop = asyncio.get_running_loop()
        reservation.expiry = loop.call_later(self._seconds_max, self.end, reservation)
        _resolve(reservation.turn)


def is_touched(reads: ReadSet, writes: IndexWrites) -> bool:
    """The predicate of conflicts, for writes that have not happened yet."""
    for index_id, intervals in reads.items():
        for write in writes.get(index_id, ()):
            if touches(intervals, write):
                return True
    return False


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
