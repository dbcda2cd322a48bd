"""Snapshots that somebody lists page by page: they stay readable until the last page is long ago.

A listing has no end that the server hears of, so a snapshot is held for a time after each page.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from fenchel.database import Database
from fenchel.documents import Timestamp
from fenchel.runtime import Runtime

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hold:
    release: ExitStack
    until_ns: int


class ListedSnapshots:
    """Invariant: at most `listed_snapshots_max` snapshots are held, ascending by last use."""

    def __init__(self, *, database: Database, runtime: Runtime) -> None:
        self._database = database
        self._runtime = runtime
        self._settings = runtime.settings.snapshot
        self._holds: dict[Timestamp, _Hold] = {}

    def renew(self, ts: Timestamp) -> None:
        """Hold the snapshot from now on for the full time. Raises: OutOfRetention."""
        until_ns = self._runtime.clock.now_ns() + int(
            self._settings.listed_snapshot_seconds * _NANOSECONDS
        )
        held = self._holds.pop(ts, None)
        if held is None:
            release = ExitStack()
            release.enter_context(self._database.hold_snapshot(ts))
        else:
            release = held.release
        self._holds[ts] = _Hold(release=release, until_ns=until_ns)
        if len(self._holds) > self._settings.listed_snapshots_max:
            self._release(next(iter(self._holds)))

    async def run(self) -> None:
        """Let go of what nobody lists any more, for ever."""
        while True:
            await self._runtime.clock.sleep(self._settings.listed_snapshot_seconds / 4)
            self.release_expired()

    def release_expired(self) -> None:
        now_ns = self._runtime.clock.now_ns()
        for ts in [ts for ts, hold in self._holds.items() if hold.until_ns <= now_ns]:
            self._release(ts)

    def _release(self, ts: Timestamp) -> None:
        self._holds.pop(ts).release.close()
