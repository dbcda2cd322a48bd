"""Files on their way in: parts that the CLI sends, until they are put together (database
specification 10.4).

Uploads live in memory, so a restart ends them; the CLI then says that the import failed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from fenchel.errors import FenchelError, bad_request
from fenchel.file_storage import FileStorage
from fenchel.runtime import Runtime

_TOKEN_BYTES = 16


@dataclass(slots=True)
class _Upload:
    """Keys of the stored parts by their numbers."""

    keys: dict[int, str] = field(default_factory=dict)


class ImportUploads:
    """Owner of the storage of imported files. `_lock` is held while blobs appear or go, so that
    what is not referenced yet is not taken for a leftover.
    """

    def __init__(self, *, storage: FileStorage, runtime: Runtime) -> None:
        self._storage = storage
        self._runtime = runtime
        self._settings = runtime.settings.snapshot
        self._uploads: dict[str, _Upload] = {}
        self._lock = asyncio.Lock()

    def start(self) -> str:
        """The token of a new upload. The oldest is forgotten if there are too many."""
        while len(self._uploads) >= self._settings.import_uploads_max:
            del self._uploads[next(iter(self._uploads))]
        token = self._runtime.randomness.token_bytes(_TOKEN_BYTES).hex()
        self._uploads[token] = _Upload()
        return token

    async def add_part(self, token: str, number: int, content: bytes) -> str:
        """The token of the part, numbered from 1. A part that is sent again replaces the first.

        Raises: InvalidImport.
        """
        upload = self._get(token)
        if not 1 <= number <= self._settings.import_part_count_max:
            raise _invalid(f"There is no part number {number}.")
        async with self._lock:
            key = await self._storage.store(content)
            upload.keys[number] = key
        return f"{number}:{key}"

    async def finish(
        self,
        token: str,
        part_tokens: Sequence[str],
        insert_row: Callable[[str], Awaitable[str]],
    ) -> str:
        """Put the parts together in the order of the tokens; `insert_row` makes the file known.

        Gives what `insert_row` gives for the file's key. Raises: InvalidImport.
        """
        upload = self._get(token)
        parts = {f"{number}:{key}": key for number, key in upload.keys.items()}
        if len(part_tokens) != len(parts) or set(part_tokens) != parts.keys():
            raise _invalid("The parts are not those that were uploaded. Start the upload again.")
        async with self._lock:
            key = await self._join([parts[part_token] for part_token in part_tokens])
            result = await insert_row(key)
        self._uploads.pop(token, None)
        return result

    async def store(
        self, chunks: AsyncIterator[bytes], insert_row: Callable[[str], Awaitable[str]]
    ) -> str:
        """As `finish`, for a file that comes in one piece."""
        async with self._storage.create() as blob:
            async for chunk in chunks:
                await asyncio.to_thread(blob.file.write, chunk)
            async with self._lock:
                return await insert_row(await blob.finish())

    async def delete_unreferenced(self, list_referenced: Callable[[], Awaitable[set[str]]]) -> None:
        """Delete every blob but those listed and the parts of running uploads."""
        async with self._lock:
            kept = await list_referenced()
            for upload in self._uploads.values():
                kept.update(upload.keys.values())
            for key in set(await self._storage.list_keys()) - kept:
                await self._storage.delete(key)

    async def _join(self, keys: Sequence[str]) -> str:
        async with self._storage.create() as blob:
            for key in keys:
                part = await self._storage.open(key)
                try:
                    await asyncio.to_thread(shutil.copyfileobj, part, blob.file)
                finally:
                    part.close()
            return await blob.finish()

    def _get(self, token: str) -> _Upload:
        upload = self._uploads.get(token)
        if upload is None:
            raise _invalid("The upload is not known any more. Start it again.")
        return upload


def _invalid(message: str) -> FenchelError:
    return bad_request("InvalidImport", message)
