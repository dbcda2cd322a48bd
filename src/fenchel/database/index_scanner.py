"""Walking one interval of an index: loading ahead, and recording only what was consumed.

Streams and pages share it. Loading records nothing; `record_passed` and `record_all` put what the
caller really used into the read set and the usage (database specification 7.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel.database.query_plan import Scan
from fenchel.database.types import passed_until, rest_after
from fenchel.documents import Document, Interval
from fenchel.persistence import Revision

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction
    from fenchel.database.virtual_tables import VirtualTable


class IndexScanner:
    """`has_more` starts True and becomes False when nothing of the interval is left to load."""

    def __init__(self, tx: Transaction, scan: Scan, interval: Interval) -> None:
        self._tx = tx
        self._scan = scan
        self._interval = interval
        self._unloaded = interval
        self.has_more = not interval.is_empty

    async def load(self, limit: int) -> list[Revision]:
        """The next rows in scan order, at most `limit`; empty only if there are no more."""
        scan = self._scan
        page = await self._tx.load_page(
            scan.table,
            scan.index,
            self._unloaded,
            is_descending=scan.is_descending,
            limit=limit,
        )
        self.has_more = page.has_more
        if page.revisions:
            self._unloaded = rest_after(self._unloaded, page.revisions[-1].key, scan.is_descending)
        return page.revisions

    def record_passed(self, key: bytes, *, documents: int, size_bytes: int) -> None:
        """Depend on the interval up to and including `key`; count what was read since the last
        call.

        Raises: the limit errors of `TransactionUsage.record_read`.
        """
        self._record(
            passed_until(self._interval, key, self._scan.is_descending), documents, size_bytes
        )

    def record_all(self) -> None:
        """Depend on the whole interval: the caller saw that nothing more is in it."""
        self._record(self._interval, 0, 0)

    def _record(self, interval: Interval, documents: int, size_bytes: int) -> None:
        table = self._scan.table
        self._tx.record(table, self._scan.index, interval)
        self._tx.usage.record_read(table.tablet_id, documents, size_bytes)


async def present(
    tx: Transaction, scan: Scan, view: VirtualTable | None, document: Document
) -> Document:
    """The document as the user sees it: itself, or what its virtual table makes of it."""
    if view is None:
        return document
    tables = tx.system(scan.table.namespace)
    return await view.present(tables, scan.table.number, document)
