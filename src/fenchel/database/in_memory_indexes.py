"""Reading system tables at snapshots that the live copy in memory no longer covers.

The live copy has the last seconds only, however long somebody holds an old snapshot. Who serves
older ones is the business of a room above; without anybody they are read from the persistence.
Source: execution specification 7.5.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Protocol

from fenchel.documents import Interval, Timestamp
from fenchel.persistence import IndexPage, Persistence


class InMemoryIndexes(Protocol):
    """Whole indexes of small tables at old timestamps."""

    async def load_page(
        self,
        index_id: bytes,
        interval: Interval,
        *,
        ts: Timestamp,
        last_modified_ts: Timestamp,
        is_descending: bool,
        limit: int,
    ) -> IndexPage:
        """Live documents of the interval at `ts` in scan order, at most `limit`.

        The index is the same at every timestamp from `last_modified_ts` to `ts`. The caller checks
        afterwards that `ts` is still retained. Raises: what the persistence raises, overloaded
        errors.
        """
        ...


class OlderIndexes:
    """The system tables at all retained timestamps, and when each of their indexes was written to.

    Nothing is known of the time before `opened_ts`, but no snapshot is older.
    """

    def __init__(
        self, opened_ts: Timestamp, persistence: Persistence, indexes: InMemoryIndexes | None
    ) -> None:
        self._opened_ts = opened_ts
        self._persistence = persistence
        self._indexes = indexes
        self._by_index: dict[bytes, array[int]] = {}

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: Timestamp, is_descending: bool, limit: int
    ) -> IndexPage:
        """Live documents of the interval at `ts` in scan order, at most `limit`. Raises: as
        `InMemoryIndexes.load_page`."""
        if self._indexes is None:
            return await self._persistence.load_index_page(
                index_id, interval, ts=ts, is_descending=is_descending, limit=limit
            )
        return await self._indexes.load_page(
            index_id,
            interval,
            ts=ts,
            last_modified_ts=self.last_modified_ts(index_id, ts),
            is_descending=is_descending,
            limit=limit,
        )

    def last_modified_ts(self, index_id: bytes, ts: Timestamp) -> Timestamp:
        """The newest write to the index up to `ts`, or the opened timestamp."""
        history = self._by_index.get(index_id, ())
        place = bisect_right(history, ts)
        return Timestamp(history[place - 1]) if place else self._opened_ts

    def append(self, ts: Timestamp, index_ids: Iterable[bytes]) -> None:
        """Indexes that the commit at `ts`, newer than all before, writes to; repeats are fine."""
        for index_id in index_ids:
            history = self._by_index.get(index_id)
            if history is None:
                history = self._by_index[index_id] = array("q")
            if not history or history[-1] != ts:
                history.append(ts)

    def prune(self, before_ts: Timestamp) -> None:
        """Keep what snapshots at or after `before_ts` ask for."""
        for history in self._by_index.values():
            place = bisect_right(history, before_ts) - 1
            if place > 0:
                del history[:place]
