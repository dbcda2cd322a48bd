"""Whole tables at one timestamp, page by page: what exports read.

Nothing is recorded as read and no limit of functions counts. Source: database specification 10.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fenchel.database.metadata import Table
from fenchel.database.types import ROOT, Namespace, rest_after
from fenchel.documents import ALL_KEYS, Document, Timestamp, encode_index_key
from fenchel.persistence import IndexPage

if TYPE_CHECKING:
    from fenchel.database.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """A table with what it holds."""

    table: Table
    document_count: int
    size_bytes: int


class SnapshotReader:
    """Reads the snapshot of `ts`, the newest when this object was made unless another one is given,
    whatever commits follow."""

    def __init__(self, database: Database, *, ts: Timestamp | None = None) -> None:
        """Raises: OutOfRetention."""
        self._tx = database.begin(ts=ts)

    @property
    def ts(self) -> Timestamp:
        return self._tx.begin_ts

    def list_namespaces(self) -> list[Namespace]:
        """All that have tables, of users or of the system; the app is the first."""
        return sorted({namespace for namespace, _ in self._tx.metadata.by_name})

    def find_table(self, namespace: Namespace, name: str) -> Table | None:
        """The active table of that name, of the user or of the system."""
        return self._tx.metadata.by_name.get((namespace, name))

    def list_user_tables(self, namespace: Namespace | None = ROOT) -> list[TableSize]:
        """The active user tables, ascending by number; those of all namespaces for None."""
        tables = self._tx.metadata.by_name.values()
        own = [t for t in tables if t.is_user and namespace in (None, t.namespace)]
        return [self._measure(t) for t in sorted(own, key=lambda table: table.number)]

    async def load_page(self, table: Table, *, after_id: str | None, limit: int) -> IndexPage:
        """Documents behind `after_id` in id order, with the timestamps of their revisions.

        Raises: OutOfRetention.
        """
        rest = ALL_KEYS
        if after_id is not None:
            rest = rest_after(rest, encode_index_key((), None, after_id), False)
        index = self._tx.metadata.by_id_index(table.tablet_id)
        return await self._tx.load_page(table, index, rest, is_descending=False, limit=limit)

    async def load_pages(self, table: Table, *, page_rows: int) -> AsyncIterator[list[Document]]:
        """All documents of the table in id order, at most `page_rows` of them at once."""
        index = self._tx.metadata.by_id_index(table.tablet_id)
        rest, has_more = ALL_KEYS, True
        while has_more:
            revisions, has_more = await self._tx.load_page(
                table, index, rest, is_descending=False, limit=page_rows
            )
            if revisions:
                yield [revision.document for revision in revisions]
                rest = rest_after(rest, revisions[-1].key, False)

    def _measure(self, table: Table) -> TableSize:
        document_count, size_bytes = self._tx.committed_size(table)
        return TableSize(table=table, document_count=document_count, size_bytes=size_bytes)
