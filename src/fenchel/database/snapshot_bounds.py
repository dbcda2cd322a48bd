"""Which snapshots can be read, and who insists on an old one (database specification 9.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fenchel.database.commit_log import out_of_retention
from fenchel.documents import Timestamp


class SnapshotBounds:
    """All snapshots from `min_ts` on are retained.

    `min_ts` starts at the opened timestamp and only grows, in `advance`. Invariant: it is never
    above a held timestamp.
    """

    def __init__(self, ts: Timestamp) -> None:
        self.min_ts = ts
        self._held: dict[object, Timestamp] = {}

    def check(self, ts: Timestamp) -> None:
        """To be asked before a read, and after it: deletion may have passed the reader meanwhile.

        Raises: OutOfRetention.
        """
        if ts < self.min_ts:
            raise out_of_retention(ts)

    @contextmanager
    def hold(self, ts: Timestamp) -> Iterator[Timestamp]:
        """Keep the snapshot at `ts`, and all later ones, until the block ends. Raises:
        OutOfRetention."""
        self.check(ts)
        holder = object()
        self._held[holder] = ts
        try:
            yield ts
        finally:
            del self._held[holder]

    def limit(self, ts: Timestamp) -> Timestamp:
        """How far `min_ts` may go, at most `ts`."""
        return min(ts, *self._held.values()) if self._held else ts

    def advance(self, ts: Timestamp) -> None:
        """Give up the snapshots before `ts`."""
        assert ts == self.limit(ts), "a held snapshot would go"
        self.min_ts = max(self.min_ts, ts)

    def check_invariants(self) -> None:
        assert all(ts >= self.min_ts for ts in self._held.values())
