"""Immutable blobs by the SHA-256 of their content: source packages, exports, uploads."""

from fenchel.file_storage.file_storage import BlobWriter, FileStorage
from fenchel.file_storage.local import LocalFileStorage
from fenchel.file_storage.memory import MemoryFileStorage

__all__ = ["BlobWriter", "FileStorage", "LocalFileStorage", "MemoryFileStorage"]
