"""Blobs in a dictionary: the model of the seam, and the store of tests."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from fenchel.file_storage.file_storage import BlobWriter, file_not_found


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
            raise file_not_found(key)
        return content

    @asynccontextmanager
    async def create(self) -> AsyncIterator[BlobWriter]:
        yield _MemoryWriter(self)

    async def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        file = io.BytesIO(await self.load(key))
        file.seek(start)
        return file

    async def delete(self, key: str) -> None:
        self._blobs.pop(key, None)

    async def list_keys(self) -> list[str]:
        return list(self._blobs)


class _MemoryWriter:
    def __init__(self, storage: MemoryFileStorage) -> None:
        self._storage = storage
        self._buffer = io.BytesIO()

    @property
    def file(self) -> BinaryIO:
        return self._buffer

    async def finish(self) -> str:
        return await self._storage.store(self._buffer.getvalue())
