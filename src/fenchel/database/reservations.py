"""Turns for transactions that keep losing: first come, first served, among those that conflict.

Whoever has lost too often asks with the reads and writes of the lost attempt. While it holds its
turn, commits of others that would touch those reads wait, so its next attempt cannot lose to them.
Askers that do not conflict with each other hold at the same time. A commit that had to wait has its
place in the same line, so turns that are asked for later cannot hold it up. Decision 0011.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from fenchel.database.read_set import IndexWrite, ReadSet, touches

IndexWrites = Mapping[bytes, Sequence[IndexWrite]]


class Reservation:
    """One place in the line: a turn, or a commit that waits for turns (`is_turn` False).

    `is_held` starts False, becomes True with the turn, and False for good at its end. `number`
    gives the order of asking. `blocker` is the earlier place that a turn waits for.
    """

    __slots__ = ("blocker", "expiry", "is_held", "is_turn", "number", "reads", "turn", "writes")

    def __init__(self, number: int, reads: ReadSet, writes: IndexWrites, *, is_turn: bool) -> None:
        self.number = number
        self.reads = reads
        self.writes = writes
        self.is_turn = is_turn
        self.is_held = False
        self.blocker: Reservation | None = None
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.expiry: asyncio.TimerHandle | None = None

    def conflicts_with(self, other: Reservation) -> bool:
        """Whether one of the two would make the other lose, if both do again what they did."""
        return is_touched(self.reads, other.writes) or is_touched(other.reads, self.writes)


class Reservations:
    """The line of those who hold or wait, in the order of asking.

    Invariant: a turn is held exactly if it conflicts with nobody earlier in the line.
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
        reservation = self._join(reads, writes, is_turn=True)
        self._grant_if_first(reservation)
        return reservation

    def join(self, writes: IndexWrites) -> Reservation:
        """The place of a commit that must wait: turns that are asked for later come after it."""
        return self._join(ReadSet(), writes, is_turn=False)

    def end(self, reservation: Reservation) -> None:
        """Leave the line; those behind may get their turn. A second call does nothing."""
        if self._line.pop(reservation.number, None) is None:
            return
        was_held, reservation.is_held = reservation.is_held, False
        if reservation.expiry is not None:
            reservation.expiry.cancel()
        for waiting in list(self._line.values()):
            if waiting.blocker is reservation:
                self._grant_if_first(waiting)
        if was_held:
            self._on_end()

    def close(self) -> None:
        """End all turns; whoever waits goes on without one."""
        for reservation in self._line.values():
            reservation.is_held = False
            if reservation.expiry is not None:
                reservation.expiry.cancel()
            _resolve(reservation.turn)
        self._line.clear()
        self._on_end()

    def must_wait(self, writes: IndexWrites, place: Reservation | None) -> bool:
        """Whether a commit would make a holder lose who came before it. `place` is the commit's
        own in the line; two holders never wait for each other."""
        for holder in self._line.values():
            if place is not None and holder.number >= place.number:
                return False
            if holder.is_held and is_touched(holder.reads, writes):
                return True
        return False

    def check_invariants(self) -> None:
        earlier: list[Reservation] = []
        for reservation in self._line.values():
            has_rival = any(reservation.conflicts_with(other) for other in earlier)
            assert reservation.is_held == (reservation.is_turn and not has_rival)
            earlier.append(reservation)

    def _join(self, reads: ReadSet, writes: IndexWrites, *, is_turn: bool) -> Reservation:
        self._last_number += 1
        reservation = Reservation(self._last_number, reads, writes, is_turn=is_turn)
        self._line[reservation.number] = reservation
        return reservation

    def _grant_if_first(self, reservation: Reservation) -> None:
        """Give the turn if nobody earlier in the line conflicts."""
        for earlier in self._line.values():
            if earlier is reservation:
                break
            if reservation.conflicts_with(earlier):
                reservation.blocker = earlier
                return
        reservation.blocker = None
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
