"""Immutable blobs by the SHA-256 of their content: source packages now, user files later."""

from fenchel.file_storage.file_storage import FileStorage
from fenchel.file_storage.local import LocalFileStorage
from fenchel.file_storage.memory import MemoryFileStorage

__all__ = ["FileStorage", "LocalFileStorage", "MemoryFileStorage"]
