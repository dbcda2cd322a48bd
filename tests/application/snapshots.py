"""The words of the tests of exports and imports: a database with their services and workers."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fenchel.application import (
    DataSync,
    ExportService,
    ImportRequest,
    ImportService,
    StoredFiles,
    StreamingExports,
    UsageTracker,
)
from fenchel.application.exports import ExportWorker
from fenchel.application.imports import ImportUploads, ImportWorker
from fenchel.application.listed_snapshots import ListedSnapshots
from fenchel.auth import KeyBroker
from fenchel.database import Database, SnapshotReader, Transaction, create_component_tables
from fenchel.file_storage import FileStorage, LocalFileStorage, MemoryFileStorage
from fenchel.model import (
    VIRTUAL_TABLES,
    ImportRow,
    create_unmounted_components,
    get_import,
    get_latest_export_document,
    get_unfinished_export,
)
from fenchel.persistence import MemoryPersistence, Persistence, SqlitePersistence
from fenchel.runtime import Runtime
from fenchel.values import Value

_SECONDS_MAX = 60.0


class KilledError(BaseException):
    """The process ends here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """One process: `run` its workers beside the code of a test."""

    database: Database
    exports: ExportService
    imports: ImportService
    streaming: StreamingExports
    sync: DataSync
    listed: ListedSnapshots
    export_worker: ExportWorker
    import_worker: ImportWorker
    export_storage: FileStorage
    import_storage: FileStorage
    user_storage: FileStorage
    files: StoredFiles
    runtime: Runtime

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Both workers run."""
        tasks = [
            asyncio.create_task(self.export_worker.run(), name="export worker"),
            asyncio.create_task(self.import_worker.run(), name="import worker"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_until(
        self,
        condition: Callable[[Transaction], Awaitable[bool]],
        *,
        seconds_max: float = _SECONDS_MAX,
    ) -> None:
        """Return when `condition` holds in a snapshot; looks again after each commit."""
        async with asyncio.timeout(seconds_max):
            while True:
                tx = self.database.begin()
                if await condition(tx):
                    return
                changed = asyncio.Event()
                subscription = self.database.subscribe(
                    self.database.token(tx),
                    lambda _, event=changed: event.set(),  # type: ignore[misc]
                )
                await changed.wait()
                subscription.close()

    async def export(self, *, include_storage: bool = False) -> bytes:
        """The archive of a new export; the workers run."""
        export_id = await self.exports.request(include_storage=include_storage)
        await self.wait_exported()
        return await self.download(export_id)

    async def wait_exported(self, *, seconds_max: float = _SECONDS_MAX) -> None:
        async def is_done(tx: Transaction) -> bool:
            return await get_unfinished_export(tx) is None

        await self.wait_until(is_done, seconds_max=seconds_max)

    async def latest_export(self) -> dict[str, Any]:
        """The newest row, as the CLI sees it."""
        document = await get_latest_export_document(self.database.begin())
        assert document is not None
        return document.value

    async def download(self, text: str) -> bytes:
        with (await self.exports.open(text)).file as file:
            return file.read()

    async def upload(self, content: bytes, *, part_bytes: int = 1 << 20, **options: Any) -> str:
        """The id of an import whose file is uploaded in parts. Options: see `ImportRequest`."""
        token = self.imports.start_upload()
        parts = [content[i : i + part_bytes] for i in range(0, len(content), part_bytes)]
        tokens = [
            await self.imports.upload_part(token, number, part)
            for number, part in enumerate(parts, 1)
        ]
        return await self.imports.finish_upload(_request(**options), token, tokens)

    async def wait_state(self, import_id: str, *names: str) -> ImportRow:
        """The row, once it is in one of these states or in a final one."""

        async def is_there(tx: Transaction) -> bool:
            state = (await get_import(tx, import_id)).row.state.state
            return state in (*names, "completed", "failed")

        await self.wait_until(is_there)
        return (await get_import(self.database.begin(), import_id)).row

    async def confirm(self, content: bytes, **options: Any) -> str:
        """The id of an import that is uploaded, parsed and confirmed; the workers run."""
        import_id = await self.upload(content, **options)
        row = await self.wait_state(import_id, "waiting_for_confirmation")
        if not row.is_finished:
            await self.imports.perform(import_id)
        return import_id

    async def import_file(self, content: bytes, **options: Any) -> ImportRow:
        """The final row of an import; the workers run."""
        return await self.wait_state(await self.confirm(content, **options))

    async def must_import(self, content: bytes, **options: Any) -> ImportRow:
        row = await self.import_file(content, **options)
        assert row.state.state == "completed", row.state.error_message
        return row

    async def insert(
        self, table: str, *values: Mapping[str, Value], component: str = ""
    ) -> list[str]:
        """Ids of documents inserted in one commit."""
        tx = self.database.begin()
        ids = [await tx.user(component).insert(table, dict(value)) for value in values]
        await self.database.commit(tx)
        return ids

    async def mount(self, *paths: str) -> None:
        """Components, as far as their tables need them."""
        tx = self.database.begin()
        for path in paths:
            await create_unmounted_components(tx, path)
            create_component_tables(tx, path)
        await self.database.commit(tx)

    async def store(self, content: bytes, content_type: str, *, component: str = "") -> str:
        """The id of a new file."""
        return await self.files.upload(
            component, in_chunks(content), content_type=content_type, sha256=None
        )

    async def read_file(self, file_id: str, *, component: str = "") -> bytes | None:
        """None if there is no such file."""
        found = await self.files.access(self.database.begin(), component).load(file_id)
        return None if found is None else found[0]

    async def documents(self, table: str, *, component: str = "") -> list[dict[str, Value]]:
        """All documents of the table, in id order; none if there is no such table."""
        reader = SnapshotReader(self.database)
        return [
            document.value
            for size in reader.list_user_tables(component)
            if size.table.name == table
            async for page in reader.load_pages(size.table, page_rows=500)
            for document in page
        ]

    async def field(self, table: str, name: str) -> list[Any]:
        """That field of all documents, sorted."""
        found: list[Any] = [document.get(name) for document in await self.documents(table)]
        return sorted(found)

    def table_numbers(self) -> dict[str, int]:
        """Of the active user tables."""
        sizes = SnapshotReader(self.database).list_user_tables()
        return {size.table.name: size.table.number for size in sizes}

    def hidden_count(self) -> int:
        tables = self.database.metadata.tables.values()
        return sum(table.state.value == "hidden" for table in tables)

    def kill_at(self, fault: str, *, visit: int = 1) -> None:
        """End the process when it reaches the fault point for that time.

        A failure inside the committer stops the database, after which nothing can commit.
        """
        error = RuntimeError("killed") if fault.startswith("committer") else KilledError()
        visits = 0

        async def kill() -> None:
            nonlocal visits
            visits += 1
            if visits == visit:
                raise error

        self.runtime.faults.arm(fault, kill)


@dataclass(frozen=True, slots=True)
class Disk:
    """What outlives a process."""

    folder: Path

    @asynccontextmanager
    async def process(self, runtime: Runtime | None = None) -> AsyncIterator[Snapshots]:
        """A process over the disk, whose workers do not run yet."""
        storages = {
            "export_storage": LocalFileStorage(self.folder / "e"),
            "import_storage": LocalFileStorage(self.folder / "i"),
            "user_storage": LocalFileStorage(self.folder / "u"),
        }
        persistence = SqlitePersistence.open(self.folder)
        async with _open(persistence, runtime or Runtime(), **storages) as snapshots:
            yield snapshots


@asynccontextmanager
async def running_snapshots(runtime: Runtime | None = None) -> AsyncIterator[Snapshots]:
    """In memory, with running workers."""
    opened = _open(
        MemoryPersistence(),
        runtime or Runtime(),
        export_storage=MemoryFileStorage(),
        import_storage=MemoryFileStorage(),
        user_storage=MemoryFileStorage(),
    )
    async with opened as snapshots, snapshots.running():
        yield snapshots


@asynccontextmanager
async def _open(
    persistence: Persistence,
    runtime: Runtime,
    *,
    export_storage: FileStorage,
    import_storage: FileStorage,
    user_storage: FileStorage,
) -> AsyncIterator[Snapshots]:
    database = await Database.open(persistence, runtime, VIRTUAL_TABLES)
    uploads = ImportUploads(storage=import_storage, runtime=runtime)
    parts: dict[str, Any] = {"database": database, "runtime": runtime}
    listed = ListedSnapshots(**parts)
    files = StoredFiles(
        storage=user_storage,
        key_broker=KeyBroker("test-instance", bytes(32)),
        cloud_url="http://127.0.0.1:3210",
        usage=UsageTracker(database, runtime),
        **parts,
    )
    try:
        yield Snapshots(
            **parts,
            exports=ExportService(storage=export_storage, **parts),
            imports=ImportService(uploads=uploads, **parts),
            streaming=StreamingExports(listed=listed, **parts),
            sync=DataSync(**parts),
            listed=listed,
            export_worker=ExportWorker(storage=export_storage, user_storage=user_storage, **parts),
            import_worker=ImportWorker(
                storage=import_storage, uploads=uploads, files=files, **parts
            ),
            export_storage=export_storage,
            import_storage=import_storage,
            user_storage=user_storage,
            files=files,
        )
        database.check_invariants()
    finally:
        await database.close()


def _request(
    *,
    format: str = "zip",
    mode: str = "requireEmpty",
    table: str | None = None,
    component: str | None = None,
) -> ImportRequest:
    return ImportRequest(
        format=format,  # type: ignore[arg-type]
        mode=mode,  # type: ignore[arg-type]
        table_name=table,
        component_path=component,
    )


async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


def unzip(archive: bytes) -> dict[str, bytes]:
    """Contents by name, in the order of the archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def make_zip(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def export_documents(archive: bytes) -> dict[str, bytes]:
    """The lists of documents of an archive: what is equal if the data is."""
    return {name: text for name, text in unzip(archive).items() if name.endswith("documents.jsonl")}


def json_lines(values: Iterable[str]) -> bytes:
    return "".join(f"{value}\n" for value in values).encode()
