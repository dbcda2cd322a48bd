"""The seam that every blob store fulfils; `tests/file_storage` holds its conformance suite."""

from __future__ import annotations

import re
from typing import Protocol

_KEY = re.compile(r"[0-9a-f]{64}")


class FileStorage(Protocol):
    """Content-addressed: a key is the lower-case hex SHA-256 of the bytes, so storing twice is
    storing once.
    """

    async def store(self, content: bytes) -> str:
        """The key of `content`, once it is durable."""
        ...

    async def load(self, key: str) -> bytes:
        """The bytes stored under `key`.

        Raises: FenchelError NOT_FOUND `FileNotFound` for an unknown key; an internal error if the
        stored bytes do not match their key.
        """
        ...


def is_key(text: str) -> bool:
    """True for a well-formed key; anything else never touches the file system."""
    return _KEY.fullmatch(text) is not None
