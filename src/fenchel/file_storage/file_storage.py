"""The seam that every blob store fulfils; `tests/file_storage` holds its conformance suite."""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Protocol

from fenchel.errors import ErrorKind, FenchelError

_KEY = re.compile(r"[0-9a-f]{64}")


class BlobWriter(Protocol):
    """A blob that is being written."""

    @property
    def file(self) -> BinaryIO:
        """Where its bytes go, in their order; may block, so large writes belong into a thread.
        `tell` says how many came."""
        ...

    async def finish(self) -> str:
        """The key of what was written, once it is durable. Nothing may be written afterwards."""
        ...


class FileStorage(Protocol):
    """Content-addressed: a key is the lower-case hex SHA-256 of the bytes, so storing twice is
    storing once.
    """

    async def store(self, content: bytes) -> str:
        """The key of `content`, once it is durable."""
        ...

    async def load(self, key: str) -> bytes:
        """The bytes stored under `key`.

        Raises: FenchelError NOT_FOUND `FileNotFound` for an unknown key; an internal error if the
        stored bytes do not match their key.
        """
        ...

    def create(self) -> AbstractAsyncContextManager[BlobWriter]:
        """A blob to be written piece by piece, without holding it in memory.

        Leaving the context without `finish` leaves nothing behind.
        """
        ...

    async def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """The blob as a seekable file at `start`, which the caller closes and reads on a thread.
        Its digest is not checked. Who says a `length` does not read on after so many bytes.

        Raises: FenchelError NOT_FOUND `FileNotFound` for an unknown key.
        """
        ...

    async def delete(self, key: str) -> None:
        """Forget the blob; files that are open on it stay readable. Unknown keys do nothing."""
        ...

    async def list_keys(self) -> list[str]:
        """The keys of all blobs, in no order."""
        ...


def is_key(text: str) -> bool:
    """True for a well-formed key; anything else never touches the file system."""
    return _KEY.fullmatch(text) is not None


def file_not_found(key: str) -> FenchelError:
    return FenchelError(ErrorKind.NOT_FOUND, "FileNotFound", f"No stored file {key!r}.")
