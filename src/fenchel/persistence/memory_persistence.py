"""A persistence that forgets everything when the process ends; the model for the others."""

from __future__ import annotations

import asyncio
from itertools import islice

from sortedcontainers import SortedDict  # type: ignore[import-untyped]  # ships no types

from fenchel.documents import Interval
from fenchel.persistence.memory_store import MemoryStore
from fenchel.persistence.persistence import (
    DocumentRow,
    IndexPage,
    IndexRow,
    LogPage,
    LogRow,
    RevisionKey,
    SummaryRow,
    WriteBatch,
)


class MemoryPersistence:
    """`Persistence` over a `MemoryStore`; nothing awaits, so each call is atomic."""

    def __init__(self) -> None:
        self._store = MemoryStore(keeps_history=True)
        self._log: SortedDict[RevisionKey, DocumentRow] = SortedDict()
        # Timestamps of the deletions in the log, by table and document.
        self._deletions: dict[tuple[bytes, bytes], int] = {}
        self._summaries: dict[bytes, SummaryRow] = {}
        self._globals: dict[str, str] = {}

    def check_owned(self) -> None:
        """Nobody else knows of it."""

    async def wait_lost(self) -> None:
        await asyncio.Event().wait()

    async def write(self, batch: WriteBatch) -> None:
        self._store.apply(batch)
        for row in batch.documents:
            self._log[row.ts, row.tablet_id, row.internal_id] = row
            if row.document is None:
                self._deletions[row.tablet_id, row.internal_id] = row.ts
        for ts, *ids in batch.expired_documents:
            self._log.pop((ts, *ids), None)
            if self._deletions.get((ids[0], ids[1])) == ts:
                del self._deletions[ids[0], ids[1]]
        for summary in batch.summaries:
            self._summaries[summary.tablet_id] = summary
        self._globals.update(batch.global_values)

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        return self._store.load_page(
            index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )

    async def load_log_page(self, after: RevisionKey, *, through_ts: int, limit: int) -> LogPage:
        positions = self._log.irange(after, (through_ts + 1,), inclusive=(False, False))
        rows = [self._log_row(self._log[position]) for position in islice(positions, limit + 1)]
        return LogPage(rows[:limit], len(rows) > limit)

    async def was_deleted(self, tablet_id: bytes, internal_id: bytes) -> bool:
        return (tablet_id, internal_id) in self._deletions

    async def load_index_rows(self, index_id: bytes, *, limit: int) -> list[IndexRow]:
        return self._store.load_rows(index_id, limit)

    async def load_latest_ts(self) -> int:
        return self._log.peekitem(-1)[0][0] if self._log else 0

    async def load_summaries(self) -> list[SummaryRow]:
        return list(self._summaries.values())

    async def load_globals(self) -> dict[str, str]:
        return dict(self._globals)

    async def close(self) -> None:
        """Keeps its content, so that a test can open a second database over it."""

    def _log_row(self, row: DocumentRow) -> LogRow:
        previous = None
        if row.prev_ts is not None:
            previous = self._store.find_document(row.tablet_id, row.internal_id, row.prev_ts)
        return LogRow(*row, previous)
