"""Documents that were read or written lately, so that an index page needs only its index rows.

A revision never changes, so an entry is right for ever and nothing has to be invalidated.
"""

from __future__ import annotations

from collections import OrderedDict

from fenchel.documents import Document
from fenchel.persistence.persistence import RevisionKey

# What an entry holds beyond its text: objects, key and map slot.
_ENTRY_OVERHEAD_BYTES = 600
# The text, and the value that is decoded from it when somebody asks for it.
_BYTES_PER_BYTE = 4


class DocumentCache:
    """Least recently used go first. Invariant: `_size_bytes` is the sum of the entries' weights,
    at most the limit.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[RevisionKey, Document] = OrderedDict()
        self._size_bytes = 0

    def find(self, key: RevisionKey) -> Document | None:
        document = self._entries.get(key)
        if document is not None:
            self._entries.move_to_end(key)
        return document

    def add(self, key: RevisionKey, document: Document) -> None:
        """Keep the revision, at the expense of those that were not used for longest."""
        if key in self._entries:
            return
        self._entries[key] = document
        self._size_bytes += _weight(document)
        while self._size_bytes > self._bytes_max:
            _, oldest = self._entries.popitem(last=False)
            self._size_bytes -= _weight(oldest)

    def check_invariants(self) -> None:
        total = sum(_weight(document) for document in self._entries.values())
        assert self._size_bytes == total, f"{self._size_bytes} != {total}"
        assert total <= self._bytes_max


def _weight(document: Document) -> int:
    return _ENTRY_OVERHEAD_BYTES + _BYTES_PER_BYTE * document.size_bytes
