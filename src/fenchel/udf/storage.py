"""What functions ask about stored files; the application answers (execution 2.9)."""

from __future__ import annotations

from typing import Protocol

import msgspec


class FileMetadata(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Answer of `storage.getMetadata`: `sha256` is hexadecimal, `size` is in bytes."""

    storage_id: str
    sha256: str
    size: float
    content_type: str | None


class FileSource(Protocol):
    """Part of a stored file on its way into an action or through it. The bytes are read as they
    are asked for."""

    async def read(self) -> bytes:
        """The next bytes, none at the end. Raises: StorageFileDeleted."""
        ...

    def cancel(self) -> None:
        """Nobody will read on. A second call does nothing."""
        ...


class FileAccess(Protocol):
    """Within one transaction, for the files of one component. `storage_id` is an id of its
    `_storage`, or the file's UUID.

    Developer errors are FenchelError of a developer kind; user code may catch them.
    """

    def upload_url(self) -> str:
        """Where a client may send a file within the next hour."""
        ...

    async def url(self, storage_id: str) -> str | None:
        """Where everybody can read the file until it is deleted; None if there is none."""
        ...

    async def metadata(self, storage_id: str) -> FileMetadata | None:
        """None if there is no such file."""
        ...

    async def delete(self, storage_id: str) -> None:
        """Raises: StorageIdNotFound."""
        ...

    async def store(
        self,
        content: bytes,
        *,
        content_type: str | None,
        sha256: bytes | None,
    ) -> str:
        """The id of the new file, which exists once the transaction is
        committed. Raises: Sha256Mismatch."""
        ...

    async def load(self, storage_id: str) -> tuple[bytes, str | None] | None:
        """Bytes and content type; None if there is no such file."""
        ...
