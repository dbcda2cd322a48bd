"""Immutable blobs by the SHA-256 of their content: source packages, exports, uploads."""

from fenchel.file_storage.file_storage import BlobWriter, FileStorage
from fenchel.file_storage.local import LocalFileStorage
from fenchel.file_storage.memory import MemoryFileStorage
from fenchel.file_storage.s3 import S3FileStorage
from fenchel.file_storage.s3_address import S3Address, parse_s3_address

__all__ = [
    "BlobWriter",
    "FileStorage",
    "LocalFileStorage",
    "MemoryFileStorage",
    "S3Address",
    "S3FileStorage",
    "parse_s3_address",
]
