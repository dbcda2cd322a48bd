"""Snapshot exports: asking for one, the worker that writes it, downloading (database
specification 10.3).

The worker holds one page of one table in memory. After a crash it starts again with a new snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from fenchel.application.archived_files import describe_file
from fenchel.application.export_archive import ExportArchive
from fenchel.application.transactions import run_transaction
from fenchel.application.waiting import backoff_seconds, wait_for_change
from fenchel.database import Database, Namespace, SnapshotReader, Table, Transaction
from fenchel.documents import Document
from fenchel.errors import FenchelError, bad_request
from fenchel.file_storage import FileStorage
from fenchel.model import (
    FILE_STORAGE_TABLE,
    Export,
    ExportRow,
    decode_stored_file,
    delete_expired_exports,
    export_keys,
    export_not_found,
    find_export_by_start,
    get_export,
    get_unfinished_export,
    list_exports,
    replace_export,
    request_export,
)
from fenchel.runtime import Runtime

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 600.0
_RETRY_SECONDS_INITIAL = 1.0
_RETRY_SECONDS_MAX = 900.0
_NANOSECONDS = 1_000_000_000
_WRITE_SOURCE = "_system/exports"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFile:
    """An archive to be downloaded; whoever receives it closes `file`."""

    file: BinaryIO
    size_bytes: int
    start_ts: int


class ExportService:
    """What callers may do. Raises FenchelError with the codes of specification 10.3."""

    def __init__(self, *, database: Database, storage: FileStorage, runtime: Runtime) -> None:
        self._database = database
        self._storage = storage
        self._runtime = runtime

    async def request(self, *, include_storage: bool = False) -> str:
        """Ask for an export; its id. Raises: ExportInProgress."""
        kept_ns = self._runtime.settings.snapshot.export_seconds_kept * _NANOSECONDS
        expiration_ts = self._runtime.clock.now_ns() + kept_ns

        async def work(tx: Transaction) -> str:
            return await request_export(
                tx, include_storage=include_storage, expiration_ts=expiration_ts
            )

        return await run_transaction(
            self._database, self._runtime, work, write_source=_WRITE_SOURCE
        )

    async def open(self, text: str) -> ExportFile:
        """The archive of an export, by its id or by the timestamp of its snapshot.

        Raises: BadSnapshotId, ExportNotFound, ExportNotComplete.
        """
        row = (await self._find(self._database.begin(), text)).row
        if row.state != "completed":
            raise bad_request("ExportNotComplete", f"Snapshot export {text} is not complete.")
        assert row.zip_object_key is not None
        assert row.size is not None
        assert row.start_ts is not None
        return ExportFile(
            file=await self._storage.open(row.zip_object_key),
            size_bytes=row.size,
            start_ts=row.start_ts,
        )

    async def set_expiration(self, text: str, expiration_ts: int) -> None:
        """Keep the export until that time (nanoseconds). Raises: as `open`, if it is unknown."""

        async def work(tx: Transaction) -> None:
            export = await self._find(tx, text)
            row = msgspec.structs.replace(export.row, expiration_ts=expiration_ts)
            await replace_export(tx, export.id_text, row)

        await run_transaction(self._database, self._runtime, work, write_source=_WRITE_SOURCE)

    async def cancel(self, text: str) -> None:
        """Give an export up before it is finished. Raises: CannotCancelExport, ExportNotFound."""
        now_ns = self._runtime.clock.now_ns()

        async def work(tx: Transaction) -> None:
            export = await self._find(tx, text)
            if export.row.is_finished:
                raise bad_request(
                    "CannotCancelExport", f"Snapshot export {text} is {export.row.state}."
                )
            row = msgspec.structs.replace(
                export.row, state="canceled", canceled_ts=now_ns, progress_message=None
            )
            await replace_export(tx, export.id_text, row)

        await run_transaction(self._database, self._runtime, work, write_source=_WRITE_SOURCE)

    async def _find(self, tx: Transaction, text: str) -> Export:
        if text.isascii() and text.isdigit() and len(text) < 20:
            export = await find_export_by_start(tx, int(text))
        else:
            try:
                export = await get_export(tx, text)
            except FenchelError as error:
                raise bad_request(
                    "BadSnapshotId", f"{text!r} is not the id of a snapshot export."
                ) from error
        if export is None:
            raise export_not_found(text)
        return export


class _CanceledError(Exception):
    """The row says so; the archive is given up."""


class ExportWorker:
    """The loop that makes requested exports, one at a time, and deletes expired ones."""

    def __init__(
        self,
        *,
        database: Database,
        storage: FileStorage,
        user_storage: FileStorage,
        runtime: Runtime,
    ) -> None:
        """`storage` takes the archives, `user_storage` holds the files of users."""
        self._database = database
        self._storage = storage
        self._user_storage = user_storage
        self._runtime = runtime
        self._settings = runtime.settings.snapshot

    async def run(self) -> None:
        """Serve for ever."""
        await self._delete_unreferenced()
        while True:
            await self.delete_expired()
            tx = self._database.begin()
            export = await get_unfinished_export(tx)
            if export is not None:
                await self._perform_with_retries(export)
                continue
            token = self._database.token(tx)
            await wait_for_change(self._database, token, self._runtime.clock, _IDLE_SECONDS)

    async def delete_expired(self) -> None:
        """Delete exports whose time is over, with their archives."""
        now_ns = self._runtime.clock.now_ns()

        async def work(tx: Transaction) -> int:
            return await delete_expired_exports(tx, now_ns=now_ns)

        if await run_transaction(self._database, self._runtime, work, write_source=_WRITE_SOURCE):
            await self._delete_unreferenced()

    async def _delete_unreferenced(self) -> None:
        """Only this worker adds archives, so one that no row names is a leftover."""
        referenced = set(export_keys(await list_exports(self._database.begin())))
        for key in set(await self._storage.list_keys()) - referenced:
            await self._storage.delete(key)

    async def _perform_with_retries(self, export: Export) -> None:
        """Until it is finished; failures of the system are tried again for ever."""
        attempt = 0
        while True:
            try:
                await self._perform(export)
                return
            except _CanceledError:
                _log.info("export canceled id=%s", export.id_text)
                return
            except (FenchelError, OSError) as error:
                if isinstance(error, FenchelError) and error.code == "DatabaseStopped":
                    raise
                _log.error(
                    "export failed id=%s attempt=%d", export.id_text, attempt, exc_info=error
                )
            delay_seconds = backoff_seconds(
                self._runtime,
                attempt,
                initial_seconds=_RETRY_SECONDS_INITIAL,
                seconds_max=_RETRY_SECONDS_MAX,
            )
            await self._runtime.clock.sleep(delay_seconds)
            attempt += 1

    async def _perform(self, export: Export) -> None:
        reader = SnapshotReader(self._database)
        with self._database.hold_snapshot(reader.ts):
            await self._update(
                export.id_text,
                state="in_progress",
                start_ts=reader.ts,
                progress_message="Starting",
            )
            async with self._storage.create() as blob:
                await self._write(blob.file, reader, export)
                size_bytes = blob.file.tell()
                await self._runtime.faults.reach("export.before_finish")
                key = await blob.finish()
        await self._complete(export, reader.ts, key, size_bytes)

    async def _complete(self, export: Export, start_ts: int, key: str, size_bytes: int) -> None:
        try:
            await self._update(
                export.id_text,
                state="completed",
                start_ts=start_ts,
                complete_ts=self._runtime.clock.now_ns(),
                progress_message=None,
                zip_object_key=key,
                size=size_bytes,
            )
        except _CanceledError:
            await self._delete_unreferenced()
            raise

    async def _write(self, file: BinaryIO, reader: SnapshotReader, export: Export) -> None:
        archive = ExportArchive(file, snapshot_ts=reader.ts)
        try:
            await self._fill(archive, reader, export)
        except BaseException:
            archive.abandon()
            raise

    async def _fill(self, archive: ExportArchive, reader: SnapshotReader, export: Export) -> None:
        """Small tables first, as in the reference; the files of users last."""
        include_storage = export.row.format.include_storage
        archive.add_readme(include_storage=include_storage)
        sizes = []
        for namespace in reader.list_namespaces():
            own = reader.list_user_tables(namespace)
            archive.add_table_list(namespace, [(s.table.name, s.table.number) for s in own])
            sizes += own
        for size in sorted(sizes, key=lambda size: size.size_bytes):
            await self._write_table(archive, reader, size.table, export)
        if include_storage:
            for namespace in reader.list_namespaces():
                await self._write_storage(archive, reader, namespace, export)
        await asyncio.to_thread(archive.close)

    async def _write_table(
        self, archive: ExportArchive, reader: SnapshotReader, table: Table, export: Export
    ) -> None:
        place = _in_component(table.namespace)
        await self._update(export.id_text, progress_message=f"Exporting {table.name}{place}")
        archive.begin_table(table.namespace, table.name)
        page_rows = self._settings.export_page_rows
        async for documents in reader.load_pages(table, page_rows=page_rows):
            await asyncio.to_thread(archive.add_documents, documents)
            await self._runtime.faults.reach("export.after_page")
            await self._load_unfinished(self._database.begin(), export.id_text)
        await asyncio.to_thread(archive.end_table)

    async def _write_storage(
        self, archive: ExportArchive, reader: SnapshotReader, namespace: Namespace, export: Export
    ) -> None:
        """The list of a component's files, then their contents, one file open at a time."""
        place = _in_component(namespace)
        await self._update(export.id_text, progress_message=f"Exporting _storage{place}")
        table = reader.find_table(namespace, FILE_STORAGE_TABLE)
        page_rows = self._settings.export_page_rows
        archive.begin_file_list(namespace)
        if table is not None:
            async for documents in reader.load_pages(table, page_rows=page_rows):
                await asyncio.to_thread(archive.add_file_lines, map(describe_file, documents))
        archive.end_table()
        if table is not None:
            async for documents in reader.load_pages(table, page_rows=page_rows):
                for document in documents:
                    await self._write_file(archive, namespace, document)
                    await self._load_unfinished(self._database.begin(), export.id_text)

    async def _write_file(
        self, archive: ExportArchive, namespace: Namespace, document: Document
    ) -> None:
        """Raises: FileNotFound if it was deleted after the snapshot; a new one does not list it."""
        row = decode_stored_file(document).row
        with await self._user_storage.open(row.storage_key) as content:
            await asyncio.to_thread(archive.add_file, namespace, describe_file(document), content)

    async def _update(self, id_text: str, **fields: object) -> None:
        """Change fields of the row. Raises: _CanceledError."""

        async def work(tx: Transaction) -> None:
            row = await self._load_unfinished(tx, id_text)
            await replace_export(tx, id_text, msgspec.structs.replace(row, **fields))

        await run_transaction(self._database, self._runtime, work, write_source=_WRITE_SOURCE)

    async def _load_unfinished(self, tx: Transaction, id_text: str) -> ExportRow:
        export = await get_export(tx, id_text)
        if export is None or export.row.is_finished:
            raise _CanceledError
        return export.row


def _in_component(namespace: Namespace) -> str:
    return f" in {namespace}" if namespace else ""
