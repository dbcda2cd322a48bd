"""The newest revision of documents that were got or written lately: a get needs no index then.

Source of truth stays the persistence; this only knows what is there anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

from fenchel.database.commit import DocumentChange
from fenchel.database.types import StoredDocument
from fenchel.documents import InternalId, TabletId, Timestamp
from fenchel.persistence import SegmentedCache, document_weight

_Key = tuple[bytes, bytes]


class LatestDocuments:
    """Bounded in bytes. The committer tells of every commit before it becomes visible.

    Invariant: an entry is the newest published revision of its document; of a document without an
    entry no revision or deletion is newer than `_known_ts`. So what a snapshot at or after
    `_known_ts` has found is still the newest, and may come in.
    """

    def __init__(self, bytes_max: int, ts: Timestamp) -> None:
        self._cache: SegmentedCache[_Key, StoredDocument] = SegmentedCache(bytes_max)
        self._known_ts = ts

    def find(
        self, tablet_id: TabletId, internal_id: InternalId, ts: Timestamp
    ) -> StoredDocument | None:
        """The document as the snapshot at `ts` sees it; None if that is not known here."""
        stored = self._cache.find((tablet_id, internal_id))
        return None if stored is None or stored.ts > ts else stored

    def add(self, stored: StoredDocument, snapshot_ts: Timestamp) -> None:
        """Keep what the snapshot at `snapshot_ts` has found, if it is surely still the newest."""
        document = stored.document
        key = (document.tablet_id, document.internal_id)
        if snapshot_ts >= self._known_ts and self._cache.peek(key) is None:
            self._put(key, stored)

    def apply(self, ts: Timestamp, changes: Iterable[DocumentChange]) -> None:
        """Follow the commit at `ts`."""
        for change in changes:
            key = (change.tablet_id, change.internal_id)
            if change.new is None:
                self._cache.remove(key)
                self._known_ts = max(self._known_ts, ts)
            else:
                self._put(key, StoredDocument(ts, change.new))

    def check_invariants(self) -> None:
        self._cache.check_invariants()

    def _put(self, key: _Key, stored: StoredDocument) -> None:
        for evicted in self._cache.add(key, stored, document_weight(stored.document)):
            self._known_ts = max(self._known_ts, evicted.ts)
