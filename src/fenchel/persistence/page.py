"""What the stored implementations share about pages of an index."""

from __future__ import annotations

from typing import Final

# Bytes of documents after which a page ends.
PAGE_BYTES_MAX: Final = 4 << 20
# No index key begins with ff (database specification 4.2), so it stands for "no upper bound".
AFTER_ALL_KEYS: Final = b"\xff"


def id_text_of_key(key: bytes) -> str:
    """The document id at the end of an index key: string tag 10, text, terminator 00."""
    return key[key.rindex(b"\x10") + 1 : -1].decode("ascii")
