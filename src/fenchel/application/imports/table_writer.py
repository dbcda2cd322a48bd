"""Writing the rows of an import: one transaction per batch, which also records how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fenchel.application.imports import errors
from fenchel.application.imports.source import SourceTable
from fenchel.application.imports.text_rows import ImportedRow
from fenchel.application.transactions import run_transaction
from fenchel.database import (
    BulkInserter,
    Database,
    FutureTableNames,
    Table,
    TableAdmin,
    Transaction,
)
from fenchel.documents import TabletId
from fenchel.model import ImportRow, ImportState, TableCheckpoint, get_import, replace_import
from fenchel.runtime import Runtime

_WRITE_SOURCE = "_system/imports"
# Other work of the process runs after so many rows.
_ROWS_PER_TURN = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TableWriter:
    """Fills the tables that `create_tables` has made for one import."""

    database: Database
    runtime: Runtime
    import_id: str

    async def write_table(self, source: SourceTable, checkpoint: TableCheckpoint) -> None:
        """Insert what is not inserted yet; a crash repeats nothing and leaves nothing out.

        Raises: ImportAbortedError, and developer errors of rows that do not fit.
        """
        written = checkpoint.row_count_written
        async for batch in source.load_batches(skipped_rows=written):
            await self._write_batch(checkpoint.name, written, batch)
            written += len(batch)
            await self.runtime.faults.reach("import.after_batch")

    async def _write_batch(self, name: str, written: int, batch: Sequence[ImportedRow]) -> None:
        async def work(tx: Transaction) -> None:
            row = await load_in_progress(tx, self.import_id)
            checkpoint = next(c for c in row.checkpoints if c.name == name)
            assert checkpoint.row_count_written == written
            inserter = _inserter(tx, row, checkpoint)
            for place, imported in enumerate(batch):
                await inserter.insert(imported.value)
                if place % _ROWS_PER_TURN == 0:
                    await self.runtime.clock.sleep(0)
            changed = msgspec.structs.replace(
                checkpoint,
                row_count_written=written + len(batch),
                greatest_id=inserter.greatest_id,
            )
            await self._record_progress(tx, row, changed)

        await run_transaction(self.database, self.runtime, work, write_source=_WRITE_SOURCE)

    async def _record_progress(
        self, tx: Transaction, row: ImportRow, checkpoint: TableCheckpoint
    ) -> None:
        written = checkpoint.row_count_written
        is_done = written >= checkpoint.row_count
        messages = list(row.state.checkpoint_messages or ())
        if is_done:
            messages.append(f'Imported "{checkpoint.name}" ({written:,} documents)')
        progress = f'Importing "{checkpoint.name}" ({written:,}/{checkpoint.row_count:,} documents)'
        state = ImportState(
            state="in_progress", progress_message=progress, checkpoint_messages=messages
        )
        checkpoints = [checkpoint if c.name == checkpoint.name else c for c in row.checkpoints]
        # Progress: the attempts so far were not in vain.
        row = msgspec.structs.replace(row, state=state, checkpoints=checkpoints, attempts=1)
        await replace_import(tx, self.import_id, row)


async def load_in_progress(tx: Transaction, import_id: str) -> ImportRow:
    """The row. Raises: ImportAbortedError if it was cancelled or has failed."""
    row = (await get_import(tx, import_id)).row
    if row.state.state != "in_progress":
        raise errors.ImportAbortedError
    return row


def _inserter(tx: Transaction, row: ImportRow, checkpoint: TableCheckpoint) -> BulkInserter:
    """Documents are checked against the schema as if the import were finished already."""
    tables = TableAdmin(tx)
    by_name: dict[str, Table] = {}
    for other in row.checkpoints:
        assert other.tablet_id is not None
        if other.is_hidden:
            hidden = tables.find_hidden(TabletId(other.tablet_id))
            assert hidden is not None, "a hidden table goes only with its import"
            by_name[other.name] = hidden
    gone: tuple[str, ...] = ()
    if row.mode == "replaceAll":
        gone = tuple(table.name for table in tables.list_user_tables())
    names = FutureTableNames(tx, hidden=by_name.values(), gone=gone)
    table = by_name.get(checkpoint.name)
    if table is None:
        table = tables.find(checkpoint.name)
        if table is None or table.tablet_id != checkpoint.tablet_id:
            # Somebody has deleted or replaced the table that this import appends to.
            raise errors.table_gone(checkpoint.name)
    return BulkInserter(tx, table, names, greatest_id=checkpoint.greatest_id)
