"""Blobs as files in a local directory, durable once `store` returns.

A blob is written under a temporary name, synced, renamed to its key, and its directory synced: a
crash leaves either the whole blob or a temporary file, which the next start removes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from fenchel.errors import internal_error
from fenchel.file_storage.file_storage import BlobWriter, file_not_found, is_key

_TEMPORARY_PREFIX = ".writing-"


class LocalFileStorage:
    """One file per blob below `directory`, in 256 folders named by the key's first two digits."""

    def __init__(self, directory: Path) -> None:
        """Create the directory if need be and remove what a crash left half written."""
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob(f"**/{_TEMPORARY_PREFIX}*"):
            leftover.unlink()

    async def store(self, content: bytes) -> str:
        return await asyncio.to_thread(self._store, content)

    async def load(self, key: str) -> bytes:
        return await asyncio.to_thread(self._load, key)

    @asynccontextmanager
    async def create(self) -> AsyncIterator[BlobWriter]:
        writer = await asyncio.to_thread(_LocalWriter, self)
        try:
            yield writer
        finally:
            writer.discard()

    async def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        file = await asyncio.to_thread(self._open, key)
        file.seek(start)
        return file

    async def delete(self, key: str) -> None:
        if is_key(key):
            await asyncio.to_thread(self.path(key).unlink, missing_ok=True)

    async def list_keys(self) -> list[str]:
        return await asyncio.to_thread(self._list_keys)

    def path(self, key: str) -> Path:
        """Where the blob of this well-formed key lies."""
        return self.directory / key[:2] / key

    def prepare_folder(self, key: str) -> None:
        """Create the folder that the blob belongs into."""
        folder = self.path(key).parent
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            sync_directory(self.directory)

    def _store(self, content: bytes) -> str:
        key = hashlib.sha256(content).hexdigest()
        path = self.path(key)
        if path.exists():
            return key
        self.prepare_folder(key)
        _write_durably(path, content)
        return key

    def _load(self, key: str) -> bytes:
        with self._open(key) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != key:
            raise internal_error(f"stored file {key} is damaged: its bytes do not match its name")
        return content

    def _open(self, key: str) -> BinaryIO:
        if not is_key(key):
            raise file_not_found(key)
        try:
            return self.path(key).open("rb")
        except FileNotFoundError as error:
            raise file_not_found(key) from error

    def _list_keys(self) -> list[str]:
        return [path.name for path in self.directory.glob("*/*") if is_key(path.name)]


class _LocalWriter:
    """A temporary file, until `finish` gives it its name."""

    def __init__(self, storage: LocalFileStorage) -> None:
        self._storage = storage
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=storage.directory)
        self._temporary = Path(name)
        self._file = os.fdopen(descriptor, "w+b")

    @property
    def file(self) -> BinaryIO:
        return self._file

    async def finish(self) -> str:
        return await asyncio.to_thread(self._finish)

    def discard(self) -> None:
        """Remove what was not finished. A second call does nothing."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _finish(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.seek(0)
        key = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.close()
        self._storage.prepare_folder(key)
        os.replace(self._temporary, self._storage.path(key))
        sync_directory(self._storage.path(key).parent)
        return key


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
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename or a new folder survive a power failure; Windows has no way to ask for it."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
