"""Writing the rows of an import: one transaction per batch, which also records how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from fenchel.application.archived_files import STORAGE
from fenchel.application.imports import errors
from fenchel.application.imports.file_importer import FileImporter
from fenchel.application.imports.plan import physical_name
from fenchel.application.imports.source import SourceTable
from fenchel.application.imports.zip_tables import TableKey
from fenchel.application.stored_files import StoredFiles
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
from fenchel.values import Value

_WRITE_SOURCE = "_system/imports"
# Other work of the process runs after so many rows.
_ROWS_PER_TURN = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TableWriter:
    """Fills the tables that `create_tables` has made for one import."""

    database: Database
    files: StoredFiles
    runtime: Runtime
    import_id: str

    async def write_table(self, source: SourceTable, checkpoint: TableCheckpoint) -> None:
        """Insert what is not inserted yet; a crash repeats nothing and leaves nothing out.

        Raises: ImportAbortedError, and developer errors of rows that do not fit.
        """
        written = checkpoint.row_count_written
        async for batch in source.load_batches(skipped_rows=written):
            values = [row.value for row in batch]
            if source.open_file is not None:
                values = await self._store_files(source.open_file, values)
            await self._write_batch(source.key, written, values)
            written += len(batch)
            await self.runtime.faults.reach("import.after_batch")

    async def _store_files(
        self, open_file: Callable[[str], BinaryIO], values: Sequence[dict[str, Value]]
    ) -> list[dict[str, Value]]:
        """The rows of files whose contents are durable now."""
        importer = FileImporter(files=self.files, open_file=open_file)
        return [await importer.store(value) for value in values]

    async def _write_batch(
        self, key: TableKey, written: int, values: Sequence[dict[str, Value]]
    ) -> None:
        async def work(tx: Transaction) -> None:
            row = await load_in_progress(tx, self.import_id)
            checkpoint = next(c for c in row.checkpoints if (c.component, c.name) == key)
            assert checkpoint.row_count_written == written
            inserter = _inserter(tx, row, checkpoint)
            for place, value in enumerate(values):
                await inserter.insert(value)
                if place % _ROWS_PER_TURN == 0:
                    await self.runtime.clock.sleep(0)
            changed = msgspec.structs.replace(
                checkpoint,
                row_count_written=written + len(values),
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
        table = f'"{checkpoint.name}"'
        if checkpoint.component:
            table += f" in {checkpoint.component}"
        unit = "files" if checkpoint.name == STORAGE else "documents"
        if is_done:
            messages.append(f"Imported {table} ({written:,} {unit})")
        progress = f"Importing {table} ({written:,}/{checkpoint.row_count:,} {unit})"
        state = ImportState(
            state="in_progress", progress_message=progress, checkpoint_messages=messages
        )
        checkpoints = [
            checkpoint if c.tablet_id == checkpoint.tablet_id else c for c in row.checkpoints
        ]
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
    tables = TableAdmin(tx, checkpoint.component)
    by_name: dict[str, Table] = {}
    for other in row.checkpoints:
        assert other.tablet_id is not None
        if other.is_hidden and other.component == checkpoint.component:
            hidden = tables.find_hidden(TabletId(other.tablet_id))
            assert hidden is not None, "a hidden table goes only with its import"
            by_name[other.name] = hidden
    gone: tuple[str, ...] = ()
    if row.mode == "replaceAll":
        gone = tuple(table.name for table in tables.list_user_tables())
    names = FutureTableNames(tx, hidden=by_name.values(), gone=gone, namespace=checkpoint.component)
    table = by_name.get(checkpoint.name)
    if table is None:
        table = tables.find(physical_name(checkpoint.name))
        if table is None or table.tablet_id != checkpoint.tablet_id:
            # Somebody has deleted or replaced the table that this import appends to.
            raise errors.table_gone(checkpoint.name)
    return BulkInserter(tx, table, names, greatest_id=checkpoint.greatest_id)
