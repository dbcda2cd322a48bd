"""System tables as a function runner sees them at a snapshot that the backend's live copy does not
cover: whole indexes, kept by what they are and when they were last written to.

An index is the same at every timestamp between two writes to it, so readers of many snapshots share
one copy. Source: execution specification 7.5.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from fenchel.documents import ALL_KEYS, Interval, Timestamp
from fenchel.errors import overloaded
from fenchel.function_runner.loading_cache import LoadingCache
from fenchel.function_runner.metrics import FunctionRunnerMetrics
from fenchel.persistence import IndexPage, Persistence, Revision

INDEX_BYTES_MAX = 50 << 20
LOADS_RUNNING_MAX = 4
LOADS_MAX = 400
_PAGE_ROWS = 1_000
# What a revision costs beside its key and its text.
_REVISION_BYTES = 200


class IndexKey(NamedTuple):
    """What one copy of an index is good for: every timestamp until its next write."""

    index_id: bytes
    last_modified_ts: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemoryIndex:
    """All live documents of an index, `keys` and `revisions` ascending in step."""

    keys: list[bytes]
    revisions: list[Revision]
    size_bytes: int

    def range(self, interval: Interval, *, is_descending: bool, limit: int) -> IndexPage:
        """The first `limit` documents of the interval in scan order."""
        start = bisect_left(self.keys, interval.start)
        end = len(self.keys) if interval.end is None else bisect_left(self.keys, interval.end)
        count = min(max(end - start, 0), limit)
        if is_descending:
            found = self.revisions[end - count : end][::-1]
        else:
            found = self.revisions[start : start + count]
        return IndexPage(found, end - start > count)


class InMemoryIndexCache:
    """Copies of indexes, loaded from the persistence at most `LOADS_RUNNING_MAX` at a time."""

    def __init__(
        self,
        persistence: Persistence,
        metrics: FunctionRunnerMetrics,
        *,
        bytes_max: int = INDEX_BYTES_MAX,
    ) -> None:
        self._persistence = persistence
        self._metrics = metrics
        self._cache: LoadingCache[IndexKey, InMemoryIndex] = LoadingCache(
            name="in-memory-index-load", bytes_max=bytes_max
        )
        self._running = asyncio.Semaphore(LOADS_RUNNING_MAX)
        metrics.watch_in_memory_indexes(lambda: self._cache.size_bytes)

    async def get(self, key: IndexKey, ts: Timestamp) -> InMemoryIndex:
        """The index as it is from its last write to `ts`.

        Raises: TooManyIndexLoads; what the persistence raises.
        """
        index = self._cache.find(key)
        self._metrics.record_in_memory_index(is_hit=index is not None)
        if index is not None:
            return index
        if self._cache.load_count >= LOADS_MAX and not self._cache.is_loading(key):
            raise overloaded(
                "TooManyIndexLoads", "Too many old snapshots are read at once. Try again later."
            )
        return await self._cache.load(key, lambda: self._load(key, ts))

    async def close(self) -> None:
        """Stop running loads."""
        await self._cache.close()

    def check_invariants(self) -> None:
        self._cache.check_invariants()

    async def _load(self, key: IndexKey, ts: Timestamp) -> InMemoryIndex:
        revisions: list[Revision] = []
        async with self._loading():
            rest, has_more = ALL_KEYS, True
            while has_more:
                page, has_more = await self._persistence.load_index_page(
                    key.index_id, rest, ts=ts, is_descending=False, limit=_PAGE_ROWS
                )
                revisions.extend(page)
                if page:
                    rest = Interval(page[-1].key + b"\x00", None)
        keys = [revision.key for revision in revisions]
        return InMemoryIndex(keys=keys, revisions=revisions, size_bytes=_size(revisions))

    @asynccontextmanager
    async def _loading(self) -> AsyncIterator[None]:
        async with self._running:
            with self._metrics.in_memory_index_load_seconds.time():
                yield


class FunctionRunnerInMemoryIndexes:
    """The database's `InMemoryIndexes` over a cache."""

    def __init__(self, cache: InMemoryIndexCache) -> None:
        self._cache = cache

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
        index = await self._cache.get(IndexKey(index_id, last_modified_ts), ts)
        return index.range(interval, is_descending=is_descending, limit=limit)


def _size(revisions: list[Revision]) -> int:
    return sum(
        len(revision.key) + len(revision.document.value_json) + _REVISION_BYTES
        for revision in revisions
    )
