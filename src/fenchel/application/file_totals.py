"""How many files are stored, and how many bytes they have together.

The rows are summed up: a counter that every upload changes would make uploads lose to each other.
What has not changed since the last time is not looked at again.
"""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec

from fenchel.database import Database, SnapshotReader, Table, Token
from fenchel.errors import ErrorKind, FenchelError
from fenchel.model import FILE_STORAGE_TABLE
from fenchel.runtime import Runtime

_PAGE_ROWS = 500
_SECONDS_MIN = 60.0
# Of the time at most so much goes into looking again.
_SHARE_MAX = 0.01


class FileTotal(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The files of one component."""

    component: str
    files: int = 0
    bytes: int = 0


class FileTotals:
    """Start value: nothing known. `latest` is what was found last."""

    def __init__(self, database: Database, runtime: Runtime) -> None:
        self.latest: tuple[FileTotal, ...] = ()
        self._database = database
        self._runtime = runtime
        self._known: dict[bytes, tuple[Token, FileTotal]] = {}
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Keep `latest` recent for ever."""
        clock = self._runtime.clock
        while True:
            start_seconds = clock.monotonic()
            await self.refresh()
            seconds = clock.monotonic() - start_seconds
            await clock.sleep(max(_SECONDS_MIN, seconds / _SHARE_MAX))

    async def refresh(self) -> tuple[FileTotal, ...]:
        """The totals of the newest snapshot, by component. Cost: the rows of components that
        stored or deleted a file since the last time."""
        async with self._lock:
            reader = SnapshotReader(self._database)
            tables = [
                table
                for namespace in reader.list_namespaces()
                if (table := reader.find_table(namespace, FILE_STORAGE_TABLE)) is not None
            ]
            self._known = {table.tablet_id: await self._look(reader, table) for table in tables}
            self.latest = tuple(total for _, total in self._known.values() if total.files)
            return self.latest

    async def _look(self, reader: SnapshotReader, table: Table) -> tuple[Token, FileTotal]:
        known = self._still_known(reader, table)
        if known is not None:
            return known
        # Depends on the presence of all rows, which never change.
        tx = self._database.begin(ts=reader.ts)
        files = tx.document_count(table)
        size_bytes = 0
        async for page in reader.load_pages(table, page_rows=_PAGE_ROWS):
            size_bytes += sum(cast(int, document.value["size"]) for document in page)
            # Others get their turn between two pages, wherever these come from.
            await self._runtime.clock.sleep(0)
        total = FileTotal(component=table.namespace, files=files, bytes=size_bytes)
        return self._database.token(tx), total

    def _still_known(self, reader: SnapshotReader, table: Table) -> tuple[Token, FileTotal] | None:
        known = self._known.get(table.tablet_id)
        if known is None:
            return None
        try:
            token = self._database.refresh(known[0], reader.ts)
        except FenchelError as error:
            if error.kind is not ErrorKind.OUT_OF_RETENTION:
                raise
            return None
        return None if token is None else (token, known[1])
