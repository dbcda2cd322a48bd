"""Files of users: uploads, downloads, and what functions ask about them (execution 2.9,
client-protocol 2.9).

The bytes are durable before the row that names them is committed. Bytes that no row names are
deleted in the background.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from fenchel.application.file_reader import FileReader, file_deleted
from fenchel.application.transactions import run_transaction
from fenchel.application.usage import UsageTracker
from fenchel.auth import KeyBroker
from fenchel.database import Database, Namespace, Transaction
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.file_storage import FileStorage
from fenchel.model import (
    StoredFile,
    StoredFileRow,
    delete_stored_file,
    find_stored_file,
    find_stored_file_by_uuid,
    insert_stored_file,
    is_storage_key_used,
    is_storage_uuid,
)
from fenchel.runtime import Runtime
from fenchel.udf import FileMetadata

_PURPOSE = "storage upload"
_TOKEN_SECONDS_MAX = 3_600
# Longer than any transaction that may still write a row for bytes it has stored.
_UNUSED_SECONDS_KEPT = 7_200.0
_CLEANING_SECONDS = 3_600.0
_PIECE_BYTES = 1 << 20


class _UploadToken(msgspec.Struct, frozen=True, array_like=True):
    component: str
    issued_seconds: int


class StoredFiles:
    """Start value: no bytes are held back. `_recent` has the keys that this process stored, and
    when: a row for them may still come. Invariant: `_lock` is held while a key enters `_recent` and
    while bytes are deleted, so that nothing that was just stored again is deleted.
    """

    def __init__(
        self,
        *,
        database: Database,
        storage: FileStorage,
        key_broker: KeyBroker,
        cloud_url: str,
        usage: UsageTracker,
        runtime: Runtime,
    ) -> None:
        self._database = database
        self._storage = storage
        self._key_broker = key_broker
        self._cloud_url = cloud_url
        self._usage = usage
        self._runtime = runtime
        self._recent: dict[str, float] = {}
        self._lock = asyncio.Lock()

    def access(self, tx: Transaction, component: Namespace) -> TransactionFiles:
        """What functions may ask inside their transaction."""
        return TransactionFiles(stored_files=self, transaction=tx, component=component)

    def upload_url(self, component: Namespace) -> str:
        """Where a client may send a file within the next hour."""
        issued_seconds = self._runtime.clock.now_ns() // 1_000_000_000
        plain = msgspec.json.encode(_UploadToken(component, issued_seconds))
        token = self._key_broker.seal(_PURPOSE, plain)
        return f"{self._cloud_url}/api/storage/upload?token={token}"

    def url(self, file: StoredFile, component: Namespace) -> str:
        """Where everybody can read the file until it is deleted."""
        suffix = f"?component={component}" if component else ""
        return f"{self._cloud_url}/api/storage/{file.row.storage_id}{suffix}"

    async def store(
        self,
        content: bytes,
        component: Namespace,
        *,
        content_type: str | None,
        sha256: bytes | None,
    ) -> StoredFileRow:
        """The row to insert for content that is durable now. Raises: Sha256Mismatch."""
        digest = hashlib.sha256(content).digest()
        _check_digest(digest, sha256)
        await self._hold(digest.hex())
        key = await self._storage.store(content)
        self._usage.record_file(component, "storage.store", written_bytes=len(content))
        return self._row(key, digest, len(content), content_type)

    async def load(self, file: StoredFile, component: Namespace) -> bytes:
        self._usage.record_file(component, "storage.get", read_bytes=file.row.size)
        return await self._storage.load(file.row.storage_key)

    def open_token(self, token: str) -> Namespace:
        """The component that gave the upload URL. Raises: InvalidStorageToken,
        StorageTokenExpired."""
        try:
            plain = self._key_broker.open(_PURPOSE, token)
            opened = msgspec.json.decode(plain, type=_UploadToken)
        except (FenchelError, msgspec.DecodeError) as error:
            raise FenchelError(
                ErrorKind.UNAUTHENTICATED,
                "InvalidStorageToken",
                "The upload URL is not valid. Generate a new one.",
            ) from error
        now_seconds = self._runtime.clock.now_ns() // 1_000_000_000
        if now_seconds - opened.issued_seconds > _TOKEN_SECONDS_MAX:
            raise FenchelError(
                ErrorKind.UNAUTHENTICATED,
                "StorageTokenExpired",
                "The upload URL is older than an hour. Generate a new one.",
            )
        return opened.component

    async def upload(
        self,
        component: Namespace,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None,
        sha256: bytes | None,
    ) -> str:
        """The id of the file, once bytes and row are durable. Raises: as `store_chunks`."""
        row = await self.store_chunks(chunks, content_type=content_type, sha256=sha256)

        async def insert(tx: Transaction) -> str:
            return await insert_stored_file(tx, row, namespace=component)

        storage_id = await run_transaction(
            self._database, self._runtime, insert, write_source="_system/storage_upload"
        )
        self._usage.record_file(component, "upload", written_bytes=row.size)
        return storage_id

    async def store_chunks(
        self, chunks: AsyncIterable[bytes], *, content_type: str | None, sha256: bytes | None
    ) -> StoredFileRow:
        """The row to insert for content that is durable now. Raises: Sha256Mismatch; what `chunks`
        raises. A failure leaves nothing behind.
        """
        digest = hashlib.sha256()
        size = 0
        async with self._storage.create() as blob:
            async for piece in _join_chunks(chunks):
                await asyncio.to_thread(blob.file.write, piece)
                digest.update(piece)
                size += len(piece)
            _check_digest(digest.digest(), sha256)
            await self._hold(digest.hexdigest())
            key = await blob.finish()
        return self._row(key, digest.digest(), size, content_type)

    def record_download(self, component: Namespace, sent_bytes: int) -> None:
        """Count a file, or a part of it, that is sent to somebody who has its URL."""
        self._usage.record_file(component, "download", read_bytes=sent_bytes)

    async def find(self, storage_uuid: str, component: Namespace) -> StoredFileRow:
        """Raises: InvalidStoragePath, FileNotFound."""
        if not is_storage_uuid(storage_uuid):
            raise bad_request("InvalidStoragePath", f"{storage_uuid!r} is not the UUID of a file.")
        tx = self._database.begin()
        file = await find_stored_file_by_uuid(tx, storage_uuid, namespace=component)
        if file is None:
            raise FenchelError(
                ErrorKind.NOT_FOUND, "FileNotFound", f"There is no file {storage_uuid}."
            )
        return file.row

    async def open(self, row: StoredFileRow, *, start: int, length: int) -> BinaryIO:
        """The bytes of a part, which the caller closes. Raises: FileNotFound."""
        return await self._storage.open(row.storage_key, start=start, length=length)

    async def open_part(
        self, storage_id: str, component: Namespace, start: int, length: int
    ) -> FileReader:
        """So many bytes from `start` on, or those that there are, of the file with this document id
        or UUID. Raises: StorageFileDeleted, InvalidStorageId.
        """

        async def find() -> StoredFile:
            tx = self._database.begin()
            file = await find_stored_file(tx, storage_id, namespace=component)
            if file is None:
                raise file_deleted(storage_id)
            return file

        row = (await find()).row

        async def check() -> None:
            # An import may have put another file in its place.
            if (await find()).row.storage_key != row.storage_key:
                raise file_deleted(storage_id)

        def record(read_bytes: int) -> None:
            self._usage.record_file(component, "storage.get", read_bytes=read_bytes)

        length = max(0, min(length, row.size - start))
        file = await self.open(row, start=start, length=length)
        return FileReader(file, length, check=check, on_end=record)

    async def run(self) -> None:
        """Clean up for ever."""
        while True:
            await self.delete_unused()
            await self._runtime.clock.sleep(_CLEANING_SECONDS)

    async def delete_unused(self) -> None:
        """Delete the bytes that no row names, unless a row may still come."""
        for key in await self._storage.list_keys():
            await self._delete_if_unused(key)
            # Looking a key up may not wait for anything: others get their turn between two.
            await self._runtime.clock.sleep(0)
        now = self._runtime.clock.monotonic()
        self._recent = {
            key: seconds
            for key, seconds in self._recent.items()
            if now - seconds < _UNUSED_SECONDS_KEPT
        }

    async def _delete_if_unused(self, key: str) -> None:
        async with self._lock:
            if key in self._recent:
                return
            if not await is_storage_key_used(self._database.begin(), key):
                await self._storage.delete(key)

    async def _hold(self, key: str) -> None:
        async with self._lock:
            self._recent[key] = self._runtime.clock.monotonic()

    def _row(self, key: str, digest: bytes, size: int, content_type: str | None) -> StoredFileRow:
        return StoredFileRow(
            storage_id=self._runtime.randomness.uuid4(),
            storage_key=key,
            sha256=digest,
            size=size,
            content_type=content_type,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFiles:
    """The files of one component as one transaction sees and changes them (`udf.FileAccess`)."""

    stored_files: StoredFiles
    transaction: Transaction
    component: Namespace

    def upload_url(self) -> str:
        return self.stored_files.upload_url(self.component)

    async def url(self, storage_id: str) -> str | None:
        file = await self._find(storage_id)
        return None if file is None else self.stored_files.url(file, self.component)

    async def metadata(self, storage_id: str) -> FileMetadata | None:
        file = await self._find(storage_id)
        if file is None:
            return None
        return FileMetadata(
            storage_id=file.id_text,
            sha256=file.row.sha256.hex(),
            size=float(file.row.size),
            content_type=file.row.content_type,
        )

    async def delete(self, storage_id: str) -> None:
        file = await self._find(storage_id)
        if file is None:
            raise bad_request("StorageIdNotFound", f"storage id {storage_id} not found")
        await delete_stored_file(self.transaction, file, namespace=self.component)

    async def store(self, content: bytes, *, content_type: str | None, sha256: bytes | None) -> str:
        self.transaction.usage.record_file_write(len(content))
        row = await self.stored_files.store(
            content, self.component, content_type=content_type, sha256=sha256
        )
        return await insert_stored_file(self.transaction, row, namespace=self.component)

    async def load(self, storage_id: str) -> tuple[bytes, str | None] | None:
        file = await self._find(storage_id)
        if file is None:
            return None
        self.transaction.usage.record_file_read(file.row.size)
        content = await self.stored_files.load(file, self.component)
        return content, file.row.content_type

    async def _find(self, storage_id: str) -> StoredFile | None:
        return await find_stored_file(self.transaction, storage_id, namespace=self.component)


async def _join_chunks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Larger pieces: handing each chunk of a socket to a thread would cost more than writing it."""
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _check_digest(actual: bytes, expected: bytes | None) -> None:
    if expected is not None and expected != actual:
        raise bad_request(
            "Sha256Mismatch",
            f"The SHA-256 of the content is {actual.hex()}, not {expected.hex()} as was said.",
        )
