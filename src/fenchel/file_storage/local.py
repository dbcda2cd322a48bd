"""Blobs as files in a local directory, durable once `store` returns.

A blob is written under a temporary name, synced, renamed to its key, and its directory synced: a
crash leaves either the whole blob or a temporary file, which the next start removes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

from fenchel.errors import ErrorKind, FenchelError, internal_error
from fenchel.file_storage.file_storage import is_key

_TEMPORARY_PREFIX = ".writing-"


class LocalFileStorage:
    """One file per blob below `directory`, in 256 folders named by the key's first two digits."""

    def __init__(self, directory: Path) -> None:
        """Create the directory if need be and remove what a crash left half written."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob(f"*/{_TEMPORARY_PREFIX}*"):
            leftover.unlink()

    async def store(self, content: bytes) -> str:
        return await asyncio.to_thread(self._store, content)

    async def load(self, key: str) -> bytes:
        return await asyncio.to_thread(self._load, key)

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / key

    def _store(self, content: bytes) -> str:
        key = hashlib.sha256(content).hexdigest()
        path = self._path(key)
        if path.exists():
            return key
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync_directory(self._directory)
        _write_durably(path, content)
        return key

    def _load(self, key: str) -> bytes:
        if not is_key(key):
            raise FenchelError(ErrorKind.NOT_FOUND, "FileNotFound", f"No stored file {key!r}.")
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise FenchelError(
                ErrorKind.NOT_FOUND, "FileNotFound", f"No stored file {key!r}."
            ) from error
        if hashlib.sha256(content).hexdigest() != key:
            raise internal_error(f"stored file {key} is damaged: its bytes do not match its name")
        return content


def _write_durably(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make a rename or a new folder survive a power failure; Windows has no way to ask for it."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
