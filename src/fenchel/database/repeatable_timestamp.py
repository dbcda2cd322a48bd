"""The worker that moves the newest readable timestamp on while nothing is committed.

Tokens, waiting readers and retention move on with it. Source: database specification 9.3.
"""

from __future__ import annotations

import logging

from fenchel.database.database import Database
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError

_log = logging.getLogger(__name__)


class RepeatableTimestamp:
    """`_bumped_ts` starts at zero; a newest timestamp other than this one is that of a commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._settings = database.runtime.settings.database
        self._bumped_ts = Timestamp(0)
        self._idle_deadline = self._next_idle_deadline()

    async def run(self) -> None:
        """Until cancelled. Raises: DatabaseStopped."""
        while True:
            await self._database.runtime.clock.sleep(self._settings.repeatable_ts_seconds)
            try:
                await self.bump_if_due()
            except FenchelError as error:
                # Too many commits, or a full disk: the next turn tries again.
                if error.kind is not ErrorKind.OVERLOADED:
                    raise
                _log.warning("repeatable timestamp not moved error=%s", error)

    async def bump_if_due(self) -> None:
        """Soon after a commit, and rarely without one."""
        has_commit = self._database.latest_ts() != self._bumped_ts
        if has_commit or self._database.runtime.clock.monotonic() >= self._idle_deadline:
            self._bumped_ts = await self._database.bump_repeatable_ts()
            self._idle_deadline = self._next_idle_deadline()

    def _next_idle_deadline(self) -> float:
        low = self._settings.repeatable_ts_idle_seconds_min
        high = self._settings.repeatable_ts_idle_seconds_max
        runtime = self._database.runtime
        return runtime.clock.monotonic() + low + (high - low) * runtime.randomness.uniform()
