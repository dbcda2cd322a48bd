"""Documents that were read or written lately, so that an index page needs only its index rows.

A revision never changes, so an entry is right for ever and nothing has to be invalidated.
"""

from __future__ import annotations

from fenchel.documents import Document
from fenchel.persistence.persistence import RevisionKey
from fenchel.persistence.segmented_cache import SegmentedCache

# What an entry holds beyond its text: objects, key and map slot.
_ENTRY_OVERHEAD_BYTES = 600
# The text, and the value that is decoded from it when somebody asks for it.
_BYTES_PER_BYTE = 4


class DocumentCache:
    """Revisions by their key in the log; bounded in bytes of memory, estimated."""

    def __init__(self, bytes_max: int) -> None:
        self._cache: SegmentedCache[RevisionKey, Document] = SegmentedCache(bytes_max)
        # The look-up stands in the innermost loop of index pages: no call in between.
        self.find = self._cache.find

    def add(self, key: RevisionKey, document: Document) -> None:
        """Keep the revision, at the expense of those that were not used for longest."""
        if self._cache.peek(key) is None:
            self._cache.add(key, document, document_weight(document))

    def check_invariants(self) -> None:
        self._cache.check_invariants()


def document_weight(document: Document) -> int:
    """Bytes of memory that a cached document takes."""
    return _ENTRY_OVERHEAD_BYTES + _BYTES_PER_BYTE * document.size_bytes
