"""Blobs as objects of an S3-compatible store. The only file that names its client.

A small blob is put under its key at once. A larger one is uploaded in parts to a temporary name
while it is written, copied to its key within the store unless the same bytes are there already, and
the temporary object deleted: a crash leaves the blob, or a temporary object, which the next start
deletes.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from fenchel.errors import FenchelError, bad_request, internal_error, overloaded
from fenchel.file_storage.file_storage import BlobWriter, file_not_found, is_key
from fenchel.file_storage.s3_address import S3Address

if TYPE_CHECKING:
    from obstore import WritableFile
    from typing_extensions import Buffer

    from fenchel.runtime import Randomness

_log = logging.getLogger(__name__)

# One part of an upload and one answer to a read: what a writer and a reader hold in memory, a
# writer several of it.
PIECE_BYTES: Final = 8 << 20
_PARALLEL_PARTS: Final = 3
# What S3 copies within itself by one request.
BLOB_BYTES_MAX: Final = 5 << 30
_REQUEST_SECONDS_MAX: Final = 60
_COPY_SECONDS_MAX: Final = 900
_RETRIES_MAX: Final = 4
_BUFFER_BYTES: Final = 1 << 18
_TEMPORARY_FOLDER: Final = ".writing"


def _connect(address: S3Address, folder: str, *, seconds_max: int) -> S3Store:
    return S3Store(
        address.bucket,
        prefix="/".join(part for part in (address.prefix, folder) if part),
        config={"endpoint": address.endpoint} if address.endpoint else {},
        client_options={"allow_http": True, "timeout": timedelta(seconds=seconds_max)},
        retry_config={
            "max_retries": _RETRIES_MAX,
            "retry_timeout": timedelta(seconds=seconds_max),
        },
    )


class _Objects:
    """The objects below one prefix."""

    def __init__(self, address: S3Address, folder: str, randomness: Randomness) -> None:
        self._randomness = randomness
        self._place = f"s3://{address.bucket}"
        self.store = _connect(address, folder, seconds_max=_REQUEST_SECONDS_MAX)
        # The answer to a copy comes when all is copied.
        self.copying = _connect(address, folder, seconds_max=_COPY_SECONDS_MAX)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Raises: FileStorageUnavailable for what the client raises; FileNotFoundError."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            # The rest of the client's message is a dump of its own structures.
            reason = str(error).partition("\n")[0]
            raise overloaded(
                "FileStorageUnavailable", f"The file storage {self._place} failed: {reason}"
            ) from error

    def has(self, key: str) -> bool:
        try:
            self.store.head(key)
        except FileNotFoundError:
            return False
        return True

    def new_name(self) -> str:
        return self._randomness.uuid4()


class S3FileStorage:
    """One object per blob below `folder` of the address, named by its key."""

    def __init__(self, objects: _Objects) -> None:
        self._objects = objects

    @classmethod
    async def connect(
        cls, address: S3Address, folder: str, randomness: Randomness
    ) -> S3FileStorage:
        """The storage, once the store has answered and what a crash left is deleted.

        Raises: FileStorageUnavailable.
        """
        objects = _Objects(address, folder, randomness)
        with objects.failures():
            async for page in objects.store.list_async(_TEMPORARY_FOLDER):
                await objects.store.delete_async([found["path"] for found in page])
        return cls(objects)

    async def store(self, content: bytes) -> str:
        async with self.create() as blob:
            await asyncio.to_thread(blob.file.write, content)
            return await blob.finish()

    async def load(self, key: str) -> bytes:
        with await self.open(key) as file:
            content = await asyncio.to_thread(file.read)
        if hashlib.sha256(content).hexdigest() != key:
            raise internal_error(f"stored file {key} is damaged: its bytes do not match its name")
        return content

    @asynccontextmanager
    async def create(self) -> AsyncIterator[BlobWriter]:
        writer = _S3Writer(self._objects)
        try:
            yield writer
        finally:
            # On a thread, and to its end even if this task is cancelled: parts cost money.
            await asyncio.shield(asyncio.to_thread(writer.discard))

    async def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """As `FileStorage.open`. A blob that is deleted meanwhile stays readable only as far as it
        was read ahead."""
        if not is_key(key):
            raise file_not_found(key)
        return await asyncio.to_thread(_open, self._objects, key, start, length)

    async def delete(self, key: str) -> None:
        if is_key(key):
            with self._objects.failures():
                await self._objects.store.delete_async(key)

    async def list_keys(self) -> list[str]:
        with self._objects.failures():
            pages = [page async for page in self._objects.store.list_async()]
        return [found["path"] for page in pages for found in page if is_key(found["path"])]


def _open(objects: _Objects, key: str, start: int, length: int | None) -> BinaryIO:
    try:
        with objects.failures():
            size = objects.store.head(key)["size"]
    except FileNotFoundError as error:
        raise file_not_found(key) from error
    # Nothing is fetched that nobody will read.
    reader = _S3Reader(objects, key, size if length is None else min(size, start + length))
    reader.seek(start)
    reader.read_ahead()
    return io.BufferedReader(reader, _BUFFER_BYTES)


class _S3Reader(io.RawIOBase):
    """One object, read in pieces from wherever it is asked for.

    Invariant: `_piece` holds the bytes from `_piece_start` on; `_position` is the next to be read.
    """

    def __init__(self, objects: _Objects, key: str, size: int) -> None:
        super().__init__()
        self._objects = objects
        self._key = key
        self._size = size
        self._position = 0
        self._piece_start = 0
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Raises: FileStorageUnavailable; FileNotFound if it was deleted meanwhile."""
        target = memoryview(buffer).cast("B")
        if self._position >= self._size:
            return 0
        self.read_ahead()
        start = self._position - self._piece_start
        found = self._piece[start : start + len(target)]
        target[: len(found)] = found
        self._position += len(found)
        return len(found)

    def read_ahead(self) -> None:
        """Have the piece at the position."""
        if 0 <= self._position - self._piece_start < len(self._piece):
            return
        end = min(self._position + PIECE_BYTES, self._size)
        if end <= self._position:
            return
        try:
            with self._objects.failures():
                content = self._objects.store.get_range(self._key, start=self._position, end=end)
        except FileNotFoundError as error:
            raise file_not_found(self._key) from error
        self._piece, self._piece_start = memoryview(content), self._position


class _S3Writer:
    """Life: written through `file`, then `finish` or `discard`. Start value: nothing stored."""

    def __init__(self, objects: _Objects) -> None:
        self._stream = _S3WriteStream(objects)

    @property
    def file(self) -> BinaryIO:
        return cast("BinaryIO", self._stream)

    async def finish(self) -> str:
        return await asyncio.to_thread(self._stream.finish)

    def discard(self) -> None:
        self._stream.discard()


class _S3WriteStream(io.RawIOBase):
    """Bytes on their way. Invariant: all of them are in `_head` while there is no `_upload`.

    A lock, because a write may still be under way on its thread when the task that waited for it
    was cancelled and discards.
    """

    def __init__(self, objects: _Objects) -> None:
        super().__init__()
        self._objects = objects
        self._temporary = f"{_TEMPORARY_FOLDER}/{objects.new_name()}"
        self._digest = hashlib.sha256()
        self._head = bytearray()
        self._upload: WritableFile | None = None
        self._size = 0
        self._is_over = False
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, content: Buffer, /) -> int:
        """All of it. Raises: FileTooLarge; FileStorageUnavailable."""
        view = memoryview(content).cast("B")
        with self._lock, self._objects.failures():
            if self._is_over:
                raise internal_error("write to a blob that is finished or discarded")
            if self._size + len(view) > BLOB_BYTES_MAX:
                raise bad_request(
                    "FileTooLarge", f"A file may have at most {BLOB_BYTES_MAX} bytes in S3."
                )
            self._digest.update(view)
            self._size += len(view)
            if self._upload is None and self._size <= PIECE_BYTES:
                self._head += view
            else:
                self._begin_upload().write(view)
        return len(view)

    def finish(self) -> str:
        """The key, under which the store has the blob now."""
        key = self._digest.hexdigest()
        store = self._objects.store
        with self._lock, self._objects.failures():
            if self._upload is None:
                store.put(key, bytes(self._head), use_multipart=False)
            else:
                self._upload.close()
                if not self._objects.has(key):
                    self._objects.copying.copy(self._temporary, key)
                store.delete(self._temporary)
            self._is_over = True
        return key

    def discard(self) -> None:
        """Delete what was not finished. A second call does nothing."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            if self._upload is None:
                return
            try:
                with self._objects.failures():
                    # The client cannot abort an upload: complete it, so that no part stays behind.
                    self._upload.close()
                    self._objects.store.delete(self._temporary)
            except FenchelError as error:
                _log.warning("%s stays until the next start: %s", self._temporary, error)

    def _begin_upload(self) -> WritableFile:
        if self._upload is None:
            self._upload = obstore.open_writer(
                self._objects.store,
                self._temporary,
                buffer_size=PIECE_BYTES,
                max_concurrency=_PARALLEL_PARTS,
            )
            self._upload.write(bytes(self._head))
            self._head = bytearray()
        return self._upload
