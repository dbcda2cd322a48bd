"""Blobs in a dictionary: the model of the seam, and the store of tests."""

from __future__ import annotations

import hashlib

from fenchel.errors import ErrorKind, FenchelError


class MemoryFileStorage:
    """Lives as long as the process."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def store(self, content: bytes) -> str:
        key = hashlib.sha256(content).hexdigest()
        self._blobs[key] = content
        return key

    async def load(self, key: str) -> bytes:
        content = self._blobs.get(key)
        if content is None:
            raise FenchelError(ErrorKind.NOT_FOUND, "FileNotFound", f"No stored file {key!r}.")
        return content
