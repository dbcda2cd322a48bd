"""The archives of pushed modules: kept while they are deployed, and for a while after."""

from __future__ import annotations

from fenchel.database import Database, TableAdmin
from fenchel.file_storage import FileStorage
from fenchel.model import get_source_package
from fenchel.runtime import Clock

# Queries at older timestamps, and what was running when a push came, may still load its code.
_REPLACED_SECONDS = 3_600.0


class SourcePackageStorage:
    """Owner of the files that hold modules.

    `_unused_since` are monotonic seconds by key: when nothing was seen to refer to the archive. An
    archive that is stored for a push whose finish is under way counts as unused until then.
    """

    def __init__(self, *, database: Database, file_storage: FileStorage, clock: Clock) -> None:
        self._database = database
        self._file_storage = file_storage
        self._clock = clock
        self._unused_since: dict[str, float] = {}

    async def load(self, key: str) -> bytes:
        return await self._file_storage.load(key)

    async def store(self, content: bytes) -> None:
        """Under its SHA-256, once it is durable."""
        await self._file_storage.store(content)

    async def delete_unused(self, *, kept_seconds: float = _REPLACED_SECONDS) -> None:
        """Delete what no deployed code has come from for so long, by this process's clock."""
        keys = set(await self._file_storage.list_keys()) - await self._used_keys()
        now = self._clock.monotonic()
        self._unused_since = {key: self._unused_since.get(key, now) for key in keys}
        for key, since in self._unused_since.items():
            if now - since >= kept_seconds:
                await self._file_storage.delete(key)

    async def _used_keys(self) -> set[str]:
        """Unmounted components count: what was theirs comes back with them."""
        tx = self._database.begin()
        keys = set()
        for namespace in TableAdmin(tx).list_namespaces():
            package = await get_source_package(tx, namespace=namespace)
            if package is not None:
                keys.add(package[1].storage_key)
        return keys
