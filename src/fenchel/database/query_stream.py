"""One running query of a function: rows in index order through filters and limits.

Rows are loaded ahead, so own writes made later do not show in what is loaded already (database
specification 7.3). Only rows that were handed on, with the filtered ones before them, are recorded.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from fenchel.database.index_scanner import IndexScanner, present
from fenchel.database.query_plan import Filter, Limit, QueryPlan, Scan
from fenchel.documents import Document
from fenchel.errors import FenchelError
from fenchel.persistence import Revision

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction
    from fenchel.database.virtual_tables import VirtualTable


class StreamPage(msgspec.Struct, frozen=True, kw_only=True):
    """Documents for the user. `is_done`: the stream ends behind the last of them."""

    documents: list[Document]
    is_done: bool


class QueryStream:
    """`_scanned` holds, in order, the rows that are loaded and judged but not recorded yet, and
    `_dropped` those keys among them that were not handed on.

    `_recorded_count` counts the rows that were handed on and recorded; it only grows. A limit at
    zero ends the stream without another look at the index.
    """

    def __init__(self, tx: Transaction, plan: QueryPlan, view: VirtualTable | None) -> None:
        self._tx = tx
        self._scan = plan.scan
        self._view = view
        self._operators = plan.operators
        self._remaining = {
            place: operator.count
            for place, operator in enumerate(plan.operators)
            if isinstance(operator, Limit)
        }
        self._judges_rows = view is not None or any(
            isinstance(operator, Filter) for operator in plan.operators
        )
        self._scanner: IndexScanner | None = None
        if plan.scan is not None:
            self._scanner = IndexScanner(tx, plan.scan, plan.scan.interval)
        self._loaded: deque[Revision] = deque()
        self._scanned: deque[Revision] = deque()
        self._dropped: set[bytes] = set()
        self._recorded_count = 0
        # For `next`: documents of the last page not given out yet, and how many were given out.
        self._ready: deque[Document] = deque()
        self._given_count = 0
        self._is_done = False

    async def next(self) -> Document | None:
        """The next document, or None at the end; records what this consumed."""
        if not self._ready and not self._is_done:
            page = await self.fetch_page()
            self._ready.extend(page.documents)
            self._is_done = page.is_done
        if not self._ready:
            self.record_consumed(self._given_count, True)
            return None
        self._given_count += 1
        self.record_consumed(self._given_count, False)
        return self._ready.popleft()

    async def fetch_page(self) -> StreamPage:
        """The next documents, as many as one load gives. The caller wants at least the first.

        Records only rows that filters dropped before the first document; call `record_consumed` for
        the rest. Raises: EvalError, or a limit error, when the next document is the one concerned.
        """
        scanner, scan = self._scanner, self._scan
        if scanner is None or scan is None:
            return StreamPage(documents=[], is_done=True)
        while True:
            if not self._loaded and scanner.has_more and not self._is_limit_reached:
                self._loaded.extend(await scanner.load(self._load_count()))
            if self._judges_rows:
                documents = await self._judge_loaded(scan)
            else:
                documents = self._take_loaded()
            is_done = self._is_limit_reached or (not self._loaded and not scanner.has_more)
            if documents or is_done:
                return StreamPage(documents=documents, is_done=is_done)
            self._record_scanned(len(self._scanned))

    def record_consumed(self, total_documents: int, saw_end: bool) -> None:
        """The user has taken `total_documents` since the stream was opened, and maybe saw its end.

        Raises: TooManyDocumentsRead, TooManyBytesRead, TooManyReads.
        """
        count = self._count_scanned(total_documents - self._recorded_count)
        self._recorded_count = total_documents
        self._record_scanned(len(self._scanned) if saw_end else count)
        if saw_end and self._scanner is not None and not self._is_limit_reached:
            self._scanner.record_all()

    def _count_scanned(self, document_count: int) -> int:
        """The scanned rows up to the last of so many that were handed on."""
        handed_on_count = len(self._scanned) - len(self._dropped)
        assert 0 <= document_count <= handed_on_count, "consumed more than was handed on"
        if not self._dropped or document_count == 0:
            return document_count
        places = (p for p, row in enumerate(self._scanned) if row.key not in self._dropped)
        return next(islice(places, document_count - 1, None)) + 1

    @property
    def _is_limit_reached(self) -> bool:
        return 0 in self._remaining.values()

    def _load_count(self) -> int:
        """Exactly what a limit still wants if nothing can be dropped, else the usual page."""
        settings = self._tx.settings
        count = settings.query_prefetch_rows
        if self._remaining and not self._judges_rows:
            count = min(self._remaining.values())
        return min(count, settings.query_prefetch_rows_max)

    def _take_loaded(self) -> list[Document]:
        """All loaded rows that the limits leave: the usual case, where nothing is dropped."""
        count = min([len(self._loaded), *self._remaining.values()])
        rows = _take(self._loaded, count)
        self._scanned.extend(rows)
        for place in self._remaining:
            self._remaining[place] -= count
        return [row.document for row in rows]

    async def _judge_loaded(self, scan: Scan) -> list[Document]:
        """Run the loaded rows through the operators until a limit is reached.

        A failing filter counts only if its row is the next one wanted; else the rows before it go
        first, and it fails again when its turn comes.
        """
        documents: list[Document] = []
        while self._loaded and not self._is_limit_reached:
            revision = self._loaded[0]
            try:
                document = await present(self._tx, scan, self._view, revision.document)
                is_handed_on = self._passes(document)
            except FenchelError:
                if documents:
                    break
                self._scanned.append(revision)
                self._record_scanned(len(self._scanned))
                raise
            self._loaded.popleft()
            self._scanned.append(revision)
            if is_handed_on:
                documents.append(document)
            else:
                self._dropped.add(revision.key)
        return documents

    def _passes(self, document: Document) -> bool:
        """Apply the operators in order; each limit counts the rows that reach it."""
        reached: list[int] = []
        for place, operator in enumerate(self._operators):
            if isinstance(operator, Filter):
                if not operator.accepts(document.value):
                    self._count_down(reached)
                    return False
            else:
                reached.append(place)
        self._count_down(reached)
        return True

    def _count_down(self, places: list[int]) -> None:
        for place in places:
            self._remaining[place] -= 1

    def _record_scanned(self, count: int) -> None:
        if count == 0:
            return
        assert self._scanner is not None
        rows = _take(self._scanned, count)
        if self._dropped:
            self._dropped.difference_update(row.key for row in rows)
        self._scanner.record_passed(
            rows[-1].key,
            documents=len(rows),
            size_bytes=sum([row.document.size_bytes for row in rows]),
        )


def _take(rows: deque[Revision], count: int) -> list[Revision]:
    """The first rows, which leave the queue: usually all."""
    if count < len(rows):
        return [rows.popleft() for _ in range(count)]
    taken = list(rows)
    rows.clear()
    return taken
