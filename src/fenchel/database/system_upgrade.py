"""What a database that an older version wrote lacks of the system's indexes, added while it is
opened.

Tables that are missing are created by `create_system_tables`; here are indexes that tables got
later. Nobody else writes yet, so a plain walk fills them. A walk that a crash cut short is found by
the state of its index, and done again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fenchel.database.index_backfill import fill_index
from fenchel.database.index_tables import set_index_state
from fenchel.database.metadata import Index, IndexState, Metadata, Table, TableState
from fenchel.database.system_tables import SYSTEM_TABLES, indexes_of_new_table
from fenchel.database.table_creation import backfilling_index_config, insert_index

if TYPE_CHECKING:
    from fenchel.database.database import Database

_log = logging.getLogger(__name__)


async def complete_system_indexes(database: Database) -> bool:
    """Add and fill the missing indexes of all system tables. False if none was missing."""
    tx = database.begin()
    for table, name, fields in _missing(tx.metadata):
        _log.info("system index is added table=%s index=%s", table.name, name)
        insert_index(tx, table.id_text, name, backfilling_index_config(fields))
    await database.commit(tx)
    unfilled = _unfilled(database.metadata)
    for index in unfilled:
        async for _ in fill_index(database, index):
            pass
        tx = database.begin()
        await set_index_state(tx, index, IndexState.ENABLED, is_staged=False)
        await database.commit(tx)
    return bool(unfilled)


def _missing(metadata: Metadata) -> list[tuple[Table, str, tuple[str, ...]]]:
    return [
        (table, name, fields)
        for table in _system_tables(metadata)
        for name, fields in indexes_of_new_table(table.name).items()
        if metadata.find_index(table.tablet_id, name) is None
    ]


def _unfilled(metadata: Metadata) -> list[Index]:
    return [
        index
        for table in _system_tables(metadata)
        for index in metadata.indexes[table.tablet_id]
        if index.state is not IndexState.ENABLED
    ]


def _system_tables(metadata: Metadata) -> list[Table]:
    return [
        table
        for table in metadata.tables.values()
        if table.name in SYSTEM_TABLES and table.state is TableState.ACTIVE
    ]
