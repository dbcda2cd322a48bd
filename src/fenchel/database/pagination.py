"""One page of a paginated query (execution specification 2.7)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fenchel.database.index_scanner import IndexScanner, present
from fenchel.database.pagination_types import (
    Cursor,
    PageRequest,
    PageResult,
    PageStatus,
    invalid_cursor,
)
from fenchel.database.query_plan import Filter, QueryPlan, Scan
from fenchel.database.types import passed_until, rest_after
from fenchel.documents import Document, Interval
from fenchel.errors import bad_request

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction
    from fenchel.database.virtual_tables import VirtualTable

# A page beyond this share of a limit, or of the longest array, should be split by the client.
_SPLIT_SHARE = 0.75
_PAGE_DOCUMENTS_MAX = 8_192


@dataclass(slots=True, kw_only=True)
class _Progress:
    """What the page has scanned so far. `keys` are those of all scanned rows, filtered ones too."""

    rows_max: int
    bytes_max: int
    documents: list[Document] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def is_full(self) -> bool:
        if not self.keys:
            return False
        return len(self.keys) >= self.rows_max or self.size_bytes >= self.bytes_max

    @property
    def is_split_recommended(self) -> bool:
        return (
            len(self.keys) > _SPLIT_SHARE * self.rows_max
            or self.size_bytes > _SPLIT_SHARE * self.bytes_max
            or len(self.documents) > _SPLIT_SHARE * _PAGE_DOCUMENTS_MAX
        )


def check_page_request(request: PageRequest, page_size_max: int) -> None:
    """Raises: NoDocumentsForPagination, PageSizeTooLarge, InvalidPaginationLimit."""
    if request.page_size <= 0:
        raise bad_request(
            "NoDocumentsForPagination", "Must request at least 1 document while paginating"
        )
    if request.page_size > page_size_max:
        raise bad_request("PageSizeTooLarge", f"Requested too many items: {request.page_size}")
    for limit in (request.max_rows, request.max_bytes):
        if limit is not None and limit <= 0:
            raise bad_request("InvalidPaginationLimit", "A pagination limit must be at least 1")


async def load_query_page(
    tx: Transaction, plan: QueryPlan, view: VirtualTable | None, request: PageRequest
) -> PageResult:
    """The page after the request's cursor. Raises: InvalidCursor, and the errors of streams."""
    fingerprint = query_fingerprint(request.query, plan)
    _check_cursor(request.cursor, fingerprint)
    _check_cursor(request.end_cursor, fingerprint)
    end = request.end_cursor
    journal_end = request.previous_journal_end
    if end is None and journal_end is not None and journal_end.fingerprint == fingerprint:
        end = journal_end
    scan = plan.scan
    if scan is None or (request.cursor is not None and request.cursor.is_end):
        end = end or Cursor(after_key=None, fingerprint=fingerprint)
        return _result([], end, None, None)
    interval = _page_interval(scan, request.cursor, end)
    scanner = IndexScanner(tx, scan, interval)
    progress = _new_progress(tx, request, end)
    stopped_early = await _fill(tx, plan, scan, view, scanner, progress, request, end)
    return _finish(scanner, progress, fingerprint, end, stopped_early)


def query_fingerprint(query: Any, plan: QueryPlan) -> bytes:
    """What ties a cursor to its query: sha256 over the AST and the index's fields."""
    text = json.dumps([query, plan.field_names], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def _check_cursor(cursor: Cursor | None, fingerprint: bytes) -> None:
    if cursor is not None and cursor.fingerprint != fingerprint:
        raise invalid_cursor(
            "Tried to run a query starting from a cursor, but it looks like this cursor is from a "
            "different query."
        )


def _page_interval(scan: Scan, start: Cursor | None, end: Cursor | None) -> Interval:
    interval = scan.interval
    if end is not None and end.after_key is not None:
        interval = interval.intersection(passed_until(interval, end.after_key, scan.is_descending))
    if start is not None and start.after_key is not None:
        interval = interval.intersection(rest_after(interval, start.after_key, scan.is_descending))
    return interval


def _new_progress(tx: Transaction, request: PageRequest, end: Cursor | None) -> _Progress:
    """Without a fixed end a page stops before the transaction's own limits would fail it."""
    limits, usage = tx.usage.limits, tx.usage
    rows_max, bytes_max = limits.documents_read_max, limits.bytes_read_max
    if end is None:
        rows_max = min(request.max_rows or rows_max, rows_max - usage.documents_read)
        bytes_max = min(request.max_bytes or bytes_max, bytes_max - usage.bytes_read)
    return _Progress(rows_max=rows_max, bytes_max=bytes_max)


async def _fill(
    tx: Transaction,
    plan: QueryPlan,
    scan: Scan,
    view: VirtualTable | None,
    scanner: IndexScanner,
    progress: _Progress,
    request: PageRequest,
    end: Cursor | None,
) -> bool:
    """Scan until the page is complete. True if it stopped although rows may be left."""
    filters = [item for item in plan.operators if isinstance(item, Filter)]
    if len(filters) != len(plan.operators):
        raise bad_request("InvalidArgument", "`limit` cannot be combined with `paginate`")
    while scanner.has_more:
        wanted = request.page_size - len(progress.documents)
        for revision in await scanner.load(_load_count(tx, wanted, end, bool(filters))):
            document = await present(tx, scan, view, revision.document)
            size_bytes = revision.document.size_bytes
            scanner.record_passed(revision.key, documents=1, size_bytes=size_bytes)
            progress.keys.append(revision.key)
            progress.size_bytes += size_bytes
            if all(item.accepts(document.value) for item in filters):
                progress.documents.append(document)
            is_complete = len(progress.documents) >= request.page_size
            if end is None and (is_complete or progress.is_full):
                return True
    return False


def _load_count(tx: Transaction, wanted: int, end: Cursor | None, has_filters: bool) -> int:
    settings = tx.settings
    if end is not None or has_filters:
        return settings.query_prefetch_rows
    return min(wanted, settings.query_prefetch_rows_max)


def _finish(
    scanner: IndexScanner,
    progress: _Progress,
    fingerprint: bytes,
    end: Cursor | None,
    stopped_early: bool,
) -> PageResult:
    status = None
    if progress.is_split_recommended:
        status = PageStatus.SPLIT_RECOMMENDED
    if end is None and stopped_early and progress.is_full:
        status = PageStatus.SPLIT_REQUIRED
    split = None
    if len(progress.keys) > 2:
        middle = progress.keys[len(progress.keys) // 2]
        split = Cursor(after_key=middle, fingerprint=fingerprint)
    if stopped_early:
        end = Cursor(after_key=progress.keys[-1], fingerprint=fingerprint)
    else:
        scanner.record_all()
        end = end or Cursor(after_key=None, fingerprint=fingerprint)
    return _result(progress.documents, end, split, status)


def _result(
    documents: list[Document], end: Cursor, split: Cursor | None, status: PageStatus | None
) -> PageResult:
    return PageResult(
        page=documents,
        is_done=end.is_end,
        continue_cursor=end,
        split_cursor=split,
        page_status=status,
    )
