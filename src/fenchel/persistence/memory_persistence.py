"""A persistence that forgets everything when the process ends; the model for the others."""

from __future__ import annotations

from fenchel.documents import Interval
from fenchel.persistence.memory_store import MemoryStore
from fenchel.persistence.persistence import IndexPage, SummaryRow, WriteBatch


class MemoryPersistence:
    """`Persistence` over a `MemoryStore`; nothing awaits, so each call is atomic."""

    def __init__(self) -> None:
        self._store = MemoryStore(keeps_history=True)
        self._latest_ts = 0
        self._summaries: dict[bytes, SummaryRow] = {}
        self._globals: dict[str, str] = {}

    async def write(self, batch: WriteBatch) -> None:
        self._store.apply(batch)
        for row in batch.documents:
            self._latest_ts = max(self._latest_ts, row.ts)
        for summary in batch.summaries:
            self._summaries[summary.tablet_id] = summary
        self._globals.update(batch.global_values)

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        return self._store.load_page(
            index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )

    async def load_latest_ts(self) -> int:
        return self._latest_ts

    async def load_summaries(self) -> list[SummaryRow]:
        return list(self._summaries.values())

    async def load_globals(self) -> dict[str, str]:
        return dict(self._globals)

    async def close(self) -> None:
        """Keeps its content, so that a test can open a second database over it."""
