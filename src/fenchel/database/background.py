"""What the room's background workers share: walking a table, waiting, committing despite
conflicts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fenchel.database.metadata import Table, TableState
from fenchel.database.read_set import Token
from fenchel.database.transaction import Transaction
from fenchel.database.types import rest_after
from fenchel.documents import ALL_KEYS, Timestamp
from fenchel.errors import ConflictError
from fenchel.persistence import Revision

if TYPE_CHECKING:
    from fenchel.database.database import Database

_PAGE_ROWS = 500


async def walk_table(
    database: Database, table: Table
) -> AsyncIterator[tuple[Transaction, list[Revision]]]:
    """All documents in id order, in pages, each with the transaction that read it.

    Every page is of the newest snapshot. Right for work that writers help with: what was written
    after the work began its writers handle, so any later version of the other documents will do.
    Other work runs between pages.
    """
    rest, has_more = ALL_KEYS, True
    while has_more:
        tx = database.begin()
        current = tx.metadata.tables.get(table.tablet_id)
        if current is None or current.state is TableState.DELETING:
            return
        index = tx.metadata.by_id_index(table.tablet_id)
        revisions, has_more = await tx.load_page(
            table, index, rest, is_descending=False, limit=_PAGE_ROWS
        )
        if revisions:
            yield tx, revisions
            rest = rest_after(rest, revisions[-1].key, False)
        await database.runtime.clock.sleep(0)


async def wait_for_change(database: Database, token: Token) -> None:
    """Return when a commit after the token touches its reads."""
    changed = asyncio.Event()
    subscription = database.subscribe(token, lambda _: changed.set())
    try:
        await changed.wait()
    finally:
        subscription.close()


async def try_commit(database: Database, tx: Transaction) -> bool:
    """False after a conflict, once the conflicting write is readable: try again then."""
    try:
        await database.commit(tx)
    except ConflictError as conflict:
        await database.wait_for_ts(Timestamp(conflict.source.write_ts))
        return False
    return True
