"""Putting the clock of test mode forward, as if the time had passed for the whole deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fenchel.application.waiting import wait_for_change
from fenchel.database import Database, Transaction
from fenchel.errors import FenchelError, bad_request
from fenchel.runtime import ShiftingClock

NextDue = Callable[[Transaction], Awaitable[int | None]]

# Real time and changes of the schedule that one call may take: a function that schedules itself
# again at once would never come to an end.
SETTLE_SECONDS_MAX = 60.0
SETTLE_CHANGES_MAX = 5_000
# Commit timestamps are nanoseconds in 63 bits: this is the year 2191.
_TIME_NS_MAX = 7_000_000_000_000_000_000
_LOOK_AGAIN_SECONDS = 60.0


class ClockAdvancer:
    """One call after the other. `next_due` says when the first unfinished run is, or was, due."""

    def __init__(
        self,
        *,
        database: Database,
        clock: ShiftingClock,
        next_due: NextDue,
        settle_seconds_max: float = SETTLE_SECONDS_MAX,
        settle_changes_max: int = SETTLE_CHANGES_MAX,
    ) -> None:
        self._database = database
        self._clock = clock
        self._next_due = next_due
        self._seconds_max = settle_seconds_max
        self._changes_max = settle_changes_max
        self._turn = asyncio.Lock()

    async def advance(self, milliseconds: int) -> int:
        """The time afterwards, in milliseconds since the epoch; returns when nothing is due.

        The clock stops at every scheduled function and cron on the way, so each sees its own time,
        and what they schedule runs too. Raises: InvalidTime; ClockNotSettled, with the clock where
        it stopped.
        """
        async with self._turn:
            target_ns = self._clock.now_ns() + milliseconds * 1_000_000
            if milliseconds < 0 or target_ns > _TIME_NS_MAX:
                raise bad_request(
                    "InvalidTime", "`advanceMs` must be 0 or more and end before the year 2191."
                )
            try:
                async with asyncio.timeout(self._seconds_max):
                    await self._run_until(target_ns)
            except TimeoutError as error:
                raise _not_settled(f"{self._seconds_max:g} s", target_ns, self._clock) from error
            return self._clock.now_ns() // 1_000_000

    async def _run_until(self, target_ns: int) -> None:
        changes_left = self._changes_max
        while True:
            tx = self._database.begin()
            due_ns = await self._next_due(tx)
            if due_ns is not None and due_ns <= self._clock.now_ns():
                if changes_left == 0:
                    count = f"{self._changes_max:,} changes of the schedule"
                    raise _not_settled(count, target_ns, self._clock)
                changes_left -= 1
                token = self._database.token(tx)
                await wait_for_change(self._database, token, self._clock, _LOOK_AGAIN_SECONDS)
            elif self._clock.now_ns() < target_ns:
                self._clock.advance_to(target_ns if due_ns is None else min(due_ns, target_ns))
            else:
                return


def _not_settled(spent: str, target_ns: int, clock: ShiftingClock) -> FenchelError:
    rest_seconds = max(0.0, (target_ns - clock.now_ns()) / 1e9)
    return bad_request(
        "ClockNotSettled",
        f"After {spent} functions are still due, {rest_seconds:g} s before the wanted time. Does a "
        "scheduled function schedule itself without end? If not, advance the clock in smaller "
        "steps.",
    )
