"""Part of a stored file on its way into an action, or through it: read as far as somebody asks, and
only while there is such a file (execution 2.13).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import BinaryIO

from fenchel.errors import FenchelError, bad_request, internal_error

_PIECE_BYTES = 1 << 18


class FileReader:
    """`udf.FileSource`. Invariant: `_rest` bytes are neither read nor being read.

    Life: `read` until nothing is left, then `cancel`, which tells `on_end` how many bytes were
    read. `check` raises when the file is not there any more.
    """

    def __init__(
        self,
        file: BinaryIO,
        length: int,
        *,
        check: Callable[[], Awaitable[None]],
        on_end: Callable[[int], None],
    ) -> None:
        self._file = file
        self._rest = length
        self._read_bytes = 0
        self._check = check
        self._on_end = on_end
        self._is_over = False

    async def read(self) -> bytes:
        # Taken before anything waits: code of users may read twice at once.
        count = min(_PIECE_BYTES, self._rest)
        self._rest -= count
        if count == 0:
            return b""
        await self._check()
        piece = await asyncio.to_thread(self._file.read, count)
        if len(piece) < count:
            raise internal_error("a stored file is shorter than its row says")
        self._read_bytes += count
        return piece

    def cancel(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._rest = 0
        # On a thread, because it waits for a read that is under way.
        asyncio.get_running_loop().run_in_executor(None, self._file.close)
        self._on_end(self._read_bytes)


def file_deleted(storage_id: str) -> FenchelError:
    return bad_request(
        "StorageFileDeleted",
        f"The file {storage_id} was deleted: what `storage.get` gave can no longer be read.",
    )
