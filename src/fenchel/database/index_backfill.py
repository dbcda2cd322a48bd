"""The worker that fills new database indexes while commits go on (database specification 4.6).

Writers maintain an index from the moment its row exists, so only older documents are missing. A
page writes index entries at each document's own timestamp: an entry that a commit has replaced in
the meantime is older than the replacement and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fenchel.database.background import try_commit, wait_for_change, walk_table
from fenchel.database.index_tables import set_index_state
from fenchel.database.metadata import Index, IndexKind, IndexState, Metadata
from fenchel.database.system_tables import INDEXES
from fenchel.database.write_set import index_key
from fenchel.documents import ALL_KEYS
from fenchel.persistence import IndexRow, Revision, WriteBatch

if TYPE_CHECKING:
    from fenchel.database.database import Database

_log = logging.getLogger(__name__)


class IndexBackfiller:
    """Fills one index after the other. After a restart an index is filled again from its
    beginning."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Until cancelled. Raises: DatabaseStopped."""
        while True:
            tx = self._database.begin()
            table = tx.metadata.root_table(INDEXES)
            tx.record(table, tx.metadata.by_id_index(table.tablet_id), ALL_KEYS)
            waiting = _backfilling(tx.metadata)
            if not waiting:
                await wait_for_change(self._database, self._database.token(tx))
            for index in waiting:
                await self._backfill(index)

    async def _backfill(self, index: Index) -> None:
        _log.info("index backfill started index=%s", index.name)
        async for metadata in fill_index(self._database, index):
            if _current(metadata, index) is None:
                return
        await self._finish(index)
        _log.info("index backfill finished index=%s", index.name)

    async def _finish(self, index: Index) -> None:
        """Backfilling to backfilled, with the staged flag that the row has by now."""
        while True:
            tx = self._database.begin()
            current = _current(tx.metadata, index)
            if current is None:
                return
            await set_index_state(tx, current, IndexState.BACKFILLED, is_staged=current.is_staged)
            if await try_commit(self._database, tx):
                return


async def fill_index(database: Database, index: Index) -> AsyncIterator[Metadata]:
    """Write entries for all documents of the index's table, a page at a time.

    Before each page it gives the metadata by which the caller decides whether to go on.
    """
    table = database.metadata.tables[index.tablet_id]
    async for tx, revisions in walk_table(database, table):
        yield tx.metadata
        rows = [_index_row(index, revision) for revision in revisions]
        # An entry that arrived after retention had passed its successor would stay for ever.
        with database.hold_snapshot(tx.begin_ts):
            await database.persistence.write(WriteBatch(index_rows=rows))


def _backfilling(metadata: Metadata) -> list[Index]:
    return [
        index
        for indexes in metadata.indexes.values()
        for index in indexes
        if index.kind is IndexKind.DATABASE and index.state is IndexState.BACKFILLING
    ]


def _current(metadata: Metadata, index: Index) -> Index | None:
    """The index as it is now, if it still wants to be filled."""
    for candidate in metadata.indexes.get(index.tablet_id, ()):
        if candidate.index_id == index.index_id and candidate.state is IndexState.BACKFILLING:
            return candidate
    return None


def _index_row(index: Index, revision: Revision) -> IndexRow:
    document = revision.document
    return IndexRow(
        index.index_id,
        index_key(index, document),
        revision.ts,
        False,
        document.tablet_id,
        document.internal_id,
    )
