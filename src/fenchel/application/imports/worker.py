"""The loop behind imports: parse what was uploaded, write what was confirmed (database
specification 10.4 and 10.5).

Each step that changes anything is a transaction which also changes the row, so after a crash the
next start goes on where the row says.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager

import msgspec

from fenchel.application.imports.analysis import analyze_source, describe_changes
from fenchel.application.imports.change_summary import render_changes
from fenchel.application.imports.errors import ImportAbortedError, schema_changed
from fenchel.application.imports.plan import activate_tables, create_tables, schema_digest
from fenchel.application.imports.source import SourceTable, open_source
from fenchel.application.imports.table_writer import TableWriter, load_in_progress
from fenchel.application.imports.uploads import ImportUploads
from fenchel.application.stored_files import StoredFiles
from fenchel.application.transactions import Result, Work, run_transaction
from fenchel.application.waiting import wait_for_change
from fenchel.database import Database, SchemaTables, Transaction
from fenchel.errors import FenchelError
from fenchel.file_storage import FileStorage
from fenchel.model import (
    ImportRow,
    ImportState,
    SnapshotImport,
    TableCheckpoint,
    fail_import,
    get_import,
    list_unfinished_imports,
    record_audit_entry,
    replace_import,
)
from fenchel.runtime import Runtime

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 600.0
_NANOSECONDS = 1_000_000_000
_WRITE_SOURCE = "_system/imports"
ERROR_PREFIX = "Hit an error while importing:\n"
_TOO_OLD = "Import took too long. Try again or contact Convex."
_TOO_MANY_ATTEMPTS = "The import failed several times. See the log of the server for the reason."


class ImportWorker:
    """Works on one import at a time, on those in progress first."""

    def __init__(
        self,
        *,
        database: Database,
        storage: FileStorage,
        uploads: ImportUploads,
        files: StoredFiles,
        runtime: Runtime,
    ) -> None:
        self._database = database
        self._storage = storage
        self._uploads = uploads
        self._files = files
        self._runtime = runtime
        self._settings = runtime.settings.snapshot

    async def run(self) -> None:
        """Serve for ever. A failure of the system ends it; the next run tries the import again."""
        await self._uploads.delete_unreferenced(self._list_keys)
        while True:
            tx = self._database.begin()
            waiting = await list_unfinished_imports(tx)
            await self._fail_old(waiting)
            ready = [i for i in waiting if i.row.state.state != "waiting_for_confirmation"]
            if ready:
                await self._advance(ready[0].id_text)
                await self._uploads.delete_unreferenced(self._list_keys)
                continue
            token = self._database.token(tx)
            await wait_for_change(self._database, token, self._runtime.clock, _IDLE_SECONDS)

    async def _advance(self, import_id: str) -> None:
        """Parse or write the import, or fail it if the file or the data do not allow it."""
        try:
            row = await self._begin_attempt(import_id)
            if row.state.state == "uploaded":
                await self._parse(import_id, row)
            else:
                await self._perform(import_id, row)
        except ImportAbortedError:
            _log.info("import aborted id=%s", import_id)
        except FenchelError as error:
            if not error.is_developer_error:
                raise
            _log.info("import failed id=%s code=%s", import_id, error.code)
            await self._fail(import_id, error.code, ERROR_PREFIX + error.message)

    async def _begin_attempt(self, import_id: str) -> ImportRow:
        """Count the attempt, so that an import that ends the process does not come back for ever.

        Raises: ImportAbortedError.
        """

        async def work(tx: Transaction) -> ImportRow:
            row = (await get_import(tx, import_id)).row
            if row.state.state not in ("uploaded", "in_progress"):
                raise ImportAbortedError
            row = msgspec.structs.replace(row, attempts=row.attempts + 1)
            await replace_import(tx, import_id, row)
            return row

        row = await self._transact(work)
        if row.attempts > self._settings.import_attempts_max:
            await self._fail(import_id, "ImportFailed", _TOO_MANY_ATTEMPTS)
            raise ImportAbortedError
        return row

    async def _parse(self, import_id: str, row: ImportRow) -> None:
        """Uploaded to waiting_for_confirmation, or to in_progress if nobody has to be asked."""
        async with await self._open(row) as sources:
            checkpoints = await analyze_source(sources)
        await self._runtime.faults.reach("import.after_parse")

        async def work(tx: Transaction) -> None:
            current = (await get_import(tx, import_id)).row
            if current.state.state != "uploaded":
                raise ImportAbortedError
            changes = await describe_changes(tx, checkpoints, current.mode)
            state = ImportState(
                state="waiting_for_confirmation",
                message_to_confirm=render_changes(changes),
                require_manual_confirmation=any(change.deleted for change in changes),
            )
            if current.is_auto_confirmed:
                state = confirmed_state()
            changed = msgspec.structs.replace(
                current, state=state, checkpoints=checkpoints, attempts=0
            )
            await replace_import(tx, import_id, changed)

        await self._transact(work)

    async def _perform(self, import_id: str, row: ImportRow) -> None:
        """In progress to completed."""
        checkpoints = await self._transact(lambda tx: self._create_tables(tx, import_id))
        await self._runtime.faults.reach("import.after_tables")
        by_key = {(checkpoint.component, checkpoint.name): checkpoint for checkpoint in checkpoints}
        writer = TableWriter(
            database=self._database, files=self._files, runtime=self._runtime, import_id=import_id
        )
        async with await self._open(row) as sources:
            for source in sources:
                checkpoint = by_key[source.key]
                if checkpoint.row_count_written < checkpoint.row_count:
                    await writer.write_table(source, checkpoint)
        await self._runtime.faults.reach("import.before_finish")
        await self._transact(lambda tx: self._finish(tx, import_id))
        await self._runtime.faults.reach("import.after_finish")

    async def _create_tables(self, tx: Transaction, import_id: str) -> list[TableCheckpoint]:
        """The tables to fill; made by the first attempt."""
        row = await load_in_progress(tx, import_id)
        if row.schema_digest is not None:
            return row.checkpoints
        checkpoints = await create_tables(tx, row.checkpoints, row.mode)
        row = msgspec.structs.replace(
            row, checkpoints=checkpoints, schema_digest=await schema_digest(tx, checkpoints)
        )
        await replace_import(tx, import_id, row)
        return checkpoints

    async def _finish(self, tx: Transaction, import_id: str) -> None:
        """Everything becomes visible at once. Raises: ImportSchemaChanged, and as the plan."""
        row = await load_in_progress(tx, import_id)
        if row.schema_digest != await schema_digest(tx, row.checkpoints):
            raise schema_changed()
        await activate_tables(tx, row.checkpoints, row.mode)
        written = {_place(c): c.row_count_written for c in row.checkpoints}
        state = ImportState(
            state="completed",
            timestamp=self._runtime.clock.now_ns(),
            num_rows_written=sum(written.values()),
        )
        await replace_import(
            tx, import_id, msgspec.structs.replace(row, state=state, checkpoints=[])
        )
        await record_audit_entry(
            tx,
            "snapshot_import",
            {"importId": import_id, "mode": row.mode, "rowCounts": {**written}},
        )

    async def _open(self, row: ImportRow) -> AbstractAsyncContextManager[list[SourceTable]]:
        """The uploaded file, read as the active schema of its table wants it."""
        dropped: frozenset[str] = frozenset()
        component = row.format.component
        schema = await SchemaTables(self._database.begin(), component).get_active()
        if schema is not None and row.format.table is not None:
            table = schema.definition.tables.get(row.format.table)
            dropped = frozenset() if table is None else table.optional_fields
        return open_source(
            self._storage, row.object_key, row.format, self._settings, dropped_if_empty=dropped
        )

    async def _fail_old(self, imports: list[SnapshotImport]) -> None:
        oldest_ns = self._runtime.clock.now_ns() - self._settings.import_seconds_max * _NANOSECONDS
        for snapshot_import in imports:
            if snapshot_import.row.created_ns < oldest_ns:
                await self._fail(snapshot_import.id_text, "ImportFailed", _TOO_OLD)

    async def _fail(self, import_id: str, code: str, message: str) -> None:
        async def work(tx: Transaction) -> None:
            snapshot_import = await get_import(tx, import_id)
            if not snapshot_import.row.is_finished:
                await fail_import(tx, snapshot_import, code=code, message=message)

        await self._transact(work)

    async def _list_keys(self) -> set[str]:
        imports = await list_unfinished_imports(self._database.begin())
        return {snapshot_import.row.object_key for snapshot_import in imports}

    async def _transact(self, work: Work[Result]) -> Result:
        return await run_transaction(
            self._database, self._runtime, work, write_source=_WRITE_SOURCE
        )


def _place(checkpoint: TableCheckpoint) -> str:
    """The table in an audit entry, with its component unless it is the app's."""
    return "/".join(filter(None, (checkpoint.component, checkpoint.name)))


def confirmed_state() -> ImportState:
    """The first state of an import that may write."""
    return ImportState(state="in_progress", progress_message="Importing", checkpoint_messages=[])
