"""What a transaction has written, with undo for nested levels and its own sorted view per index.

Source: database specification 7.3 and 7.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from sortedcontainers import SortedDict  # type: ignore[import-untyped]  # ships no types

from fenchel.database.metadata import Index
from fenchel.database.types import StoredDocument, passed_until
from fenchel.documents import (
    Document,
    IndexId,
    InternalId,
    Interval,
    TabletId,
)
from fenchel.persistence import IndexPage, Revision
from fenchel.values import encode_sort_key

# The timestamp of a revision that is not committed yet.
PENDING_TS = -1


class PendingWrite(msgspec.Struct, frozen=True):
    """`old` is the committed revision before the transaction, `new` what the transaction leaves."""

    old: StoredDocument | None
    new: Document | None


class _Undo(NamedTuple):
    tablet_id: TabletId
    internal_id: InternalId
    before: PendingWrite | None


class WriteSet:
    """Pending writes by table and document.

    Invariant: each view holds exactly the new documents of its table by their key in its index.
    A level's undo list holds, in order, what each write replaced; rolling back replays it.
    """

    def __init__(self) -> None:
        self._writes: dict[TabletId, dict[InternalId, PendingWrite]] = {}
        self._undo: list[list[_Undo]] = []
        # Built when a scan first needs them, then kept up to date.
        self._views: dict[IndexId, tuple[Index, SortedDict[bytes, Document]]] = {}

    def __bool__(self) -> bool:
        return any(self._writes.values())

    def __iter__(self) -> Iterator[tuple[TabletId, InternalId, PendingWrite]]:
        for tablet_id, writes in self._writes.items():
            for internal_id, write in writes.items():
                yield tablet_id, internal_id, write

    @property
    def level_count(self) -> int:
        return len(self._undo)

    def get(self, tablet_id: TabletId, internal_id: InternalId) -> PendingWrite | None:
        writes = self._writes.get(tablet_id)
        return None if writes is None else writes.get(internal_id)

    def put(
        self,
        tablet_id: TabletId,
        internal_id: InternalId,
        old: StoredDocument | None,
        new: Document | None,
    ) -> None:
        """Write or delete a document. `old` counts for its first write only; later ones
        coalesce."""
        before = self.get(tablet_id, internal_id)
        if self._undo:
            self._undo[-1].append(_Undo(tablet_id, internal_id, before))
        after = PendingWrite(old if before is None else before.old, new)
        self._set(tablet_id, internal_id, before, after)

    def begin_level(self) -> None:
        self._undo.append([])

    def commit_level(self) -> None:
        """The level's writes become its parent's."""
        finished = self._undo.pop()
        if self._undo:
            self._undo[-1].extend(finished)

    def rollback_level(self) -> None:
        """Everything is as it was when the level began."""
        for undo in reversed(self._undo.pop()):
            now = self.get(undo.tablet_id, undo.internal_id)
            self._set(undo.tablet_id, undo.internal_id, now, undo.before)

    def live_count_delta(self, tablet_id: TabletId) -> int:
        """How many more documents the table has through this transaction."""
        return sum(
            (write.new is not None) - (write.old is not None)
            for write in self._writes.get(tablet_id, {}).values()
        )

    def merge_page(
        self, index: Index, interval: Interval, page: IndexPage, *, is_descending: bool, limit: int
    ) -> IndexPage:
        """The committed page with this transaction's writes put in their places.

        `page` are committed revisions from the beginning of the interval. Committed rows of written
        documents vanish; new versions appear up to where the page ends. Same order, same limit.
        """
        pending = self._writes.get(index.tablet_id)
        if not pending:
            return page
        rows = [row for row in page.revisions if row.document.internal_id not in pending]
        covered = interval
        if page.has_more:
            covered = passed_until(interval, page.revisions[-1].key, is_descending)
        view = self._view(index)
        for key in view.irange(covered.start, covered.end, inclusive=(True, False)):
            rows.append(Revision(key, PENDING_TS, view[key]))
        rows.sort(key=_revision_key, reverse=is_descending)
        return IndexPage(rows[:limit], page.has_more or len(rows) > limit)

    def check_invariants(self) -> None:
        for index, view in self._views.values():
            assert dict(view) == dict(self._keyed_documents(index))

    def _set(
        self,
        tablet_id: TabletId,
        internal_id: InternalId,
        before: PendingWrite | None,
        after: PendingWrite | None,
    ) -> None:
        writes = self._writes.setdefault(tablet_id, {})
        if after is None:
            writes.pop(internal_id, None)
        else:
            writes[internal_id] = after
        if self._views:
            self._update_views(tablet_id, before, after)

    def _update_views(
        self, tablet_id: TabletId, before: PendingWrite | None, after: PendingWrite | None
    ) -> None:
        for index, view in self._views.values():
            if index.tablet_id != tablet_id:
                continue
            if before is not None and before.new is not None:
                del view[index_key(index, before.new)]
            if after is not None and after.new is not None:
                view[index_key(index, after.new)] = after.new

    def _view(self, index: Index) -> SortedDict[bytes, Document]:
        known = self._views.get(index.index_id)
        if known is None:
            known = (index, SortedDict(self._keyed_documents(index)))
            self._views[index.index_id] = known
        return known[1]

    def _keyed_documents(self, index: Index) -> Iterator[tuple[bytes, Document]]:
        for write in self._writes.get(index.tablet_id, {}).values():
            if write.new is not None:
                yield index_key(index, write.new), write.new


def index_key(index: Index, document: Document) -> bytes:
    """The document's key in a database index; the value is decoded only if the index has fields."""
    value = document.value if index.fields else None
    return index.encode_key(value, encode_sort_key(document.id_text))


def _revision_key(revision: Revision) -> bytes:
    return revision.key
