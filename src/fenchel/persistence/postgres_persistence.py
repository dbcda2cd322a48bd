"""Persistence in a Postgres database: one connection writes, a small pool reads.

A lease keeps every other server from writing: opening counts its epoch up, each write checks and
locks it, so the server that opened last owns the data and all earlier ones get LeaseLost. No other
file names the driver (asyncpg).
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]  # ships no types

from fenchel.documents import Document, InternalId, Interval, TabletId
from fenchel.errors import ErrorKind, FenchelError, bad_request, internal_error
from fenchel.persistence import postgres_layout as layout
from fenchel.persistence.document_cache import DocumentCache
from fenchel.persistence.page import AFTER_ALL_KEYS, PAGE_BYTES_MAX, id_text_of_key
from fenchel.persistence.persistence import (
    IndexPage,
    IndexRow,
    LeaseLostError,
    LogPage,
    LogRow,
    NotStoredError,
    Revision,
    RevisionKey,
    SummaryRow,
    WriteBatch,
)
from fenchel.persistence.postgres_readers import PostgresReaders
from fenchel.persistence.stored_document import decode_stored_document
from fenchel.runtime import Runtime

_log = logging.getLogger(__name__)

_CONNECT_SECONDS_MAX: Final = 10.0
# The take-over waits for the write that an earlier server has begun.
_TAKE_OVER_SECONDS_MAX: Final = 60.0
_WRITE_SECONDS_MAX: Final = 60.0
_CLOSE_SECONDS_MAX: Final = 5.0
# How long a lost server may be away before reads, and writes not yet sent, fail.
_RECONNECT_SECONDS_MAX: Final = 15.0
_RECONNECT_PAUSE_SECONDS: Final = 0.1

# Errors of the connection, not of the statement: worth another try on another connection.
_LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
# The server rolled back and says why; it does not fail in this way once it has begun to commit.
_REFUSED: Final = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
_DRIVER_ERRORS: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class PostgresPersistence:
    """`Persistence` in the schema `fenchel` of one database, written by this server alone.

    Invariant: whatever this object writes, it writes while `_epoch` is the lease's epoch.
    """

    def __init__(self, *, address: _Address, runtime: Runtime, writer: Any, epoch: int) -> None:
        self._address = address
        self._clock = runtime.clock
        self._documents = DocumentCache(runtime.settings.database.document_cache_bytes_max)
        self._writer = writer
        self._write_lock = asyncio.Lock()
        self._readers = PostgresReaders(partial(address.connect, layout.READER_SETTINGS))
        self._epoch = epoch
        self._is_closed = False

    @classmethod
    async def open(cls, url: str, runtime: Runtime) -> PostgresPersistence:
        """Take over the database of a `postgres://` URL; create the layout in an empty one.

        A server that used it until now loses its lease. Raises: InvalidDatabaseUrl,
        DatabaseUnreachable, DatabaseLoginRefused, DatabaseMissing, DatabaseNotWritable,
        DatabaseTooNew.
        """
        address = _Address(url)
        try:
            writer = await address.connect(layout.WRITER_SETTINGS)
            try:
                async with asyncio.timeout(_TAKE_OVER_SECONDS_MAX):
                    epoch = await _take_lease(writer, address)
            except BaseException:
                writer.terminate()
                raise
        except _DRIVER_ERRORS as error:
            raise address.error(error) from error
        return cls(address=address, runtime=runtime, writer=writer, epoch=epoch)

    async def write(self, batch: WriteBatch) -> None:
        async with self._write_lock:
            connection = await self._connected_writer()
            try:
                await self._write(connection, batch)
            except _REFUSED as error:
                raise NotStoredError(str(error)) from error
            except TimeoutError as error:
                raise self._address.error(error) from error
        for ts, tablet_id, internal_id, document, _ in batch.documents:
            if document is not None:
                self._documents.add((ts, tablet_id, internal_id), document)

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        end = AFTER_ALL_KEYS if interval.end is None else interval.end
        records = await self._fetch(
            layout.SELECT_DESCENDING if is_descending else layout.SELECT_ASCENDING,
            index_id,
            *layout.split_key(interval.start),
            *layout.split_key(end),
            ts,
            limit,
        )
        revisions = [self._revision(*record) for record in records]
        page_bytes = sum(revision.document.size_bytes for revision in revisions)
        return IndexPage(revisions, len(revisions) == limit or page_bytes > PAGE_BYTES_MAX)

    async def load_log_page(self, after: RevisionKey, *, through_ts: int, limit: int) -> LogPage:
        rows: list[LogRow] = []
        page_bytes = 0
        for record in await self._fetch(layout.SELECT_LOG, *after, through_ts, limit):
            ts, tablet_id, internal_id, prev_ts, *contents = record
            ids = (tablet_id, internal_id)
            document = _stored_document(*ids, *contents[:3])
            previous = _stored_document(*ids, *contents[3:])
            rows.append(LogRow(ts, *ids, document, prev_ts, previous))
            page_bytes += sum(found.size_bytes for found in (document, previous) if found)
        return LogPage(rows, len(rows) == limit or page_bytes > PAGE_BYTES_MAX)

    async def load_index_rows(self, index_id: bytes, *, limit: int) -> list[IndexRow]:
        records = await self._fetch(layout.SELECT_INDEX_ROWS, index_id, limit)
        return [IndexRow(*record) for record in records]

    async def load_latest_ts(self) -> int:
        return cast("int", (await self._fetch(layout.LOAD_LATEST_TS))[0][0])

    async def load_summaries(self) -> list[SummaryRow]:
        return [SummaryRow(*record) for record in await self._fetch(layout.LOAD_SUMMARIES)]

    async def load_globals(self) -> dict[str, str]:
        return dict(await self._fetch(layout.LOAD_GLOBALS))

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        async with self._write_lock:
            await _close(self._writer)
        await _close(self._readers)

    async def _write(self, connection: Any, batch: WriteBatch) -> None:
        parts = list(layout.split_batch(batch))
        if len(parts) == 1 and not batch.expired_documents and not batch.expired_index_rows:
            await self._write_part(connection, parts[0])
            return
        async with connection.transaction():
            for part in parts:
                await self._write_part(connection, part)
            await connection.executemany(
                layout.DELETE_DOCUMENT, batch.expired_documents, timeout=_WRITE_SECONDS_MAX
            )
            keys = list(map(layout.index_row_key, batch.expired_index_rows))
            await connection.executemany(layout.DELETE_INDEX_ROW, keys, timeout=_WRITE_SECONDS_MAX)

    async def _write_part(self, connection: Any, arguments: list[object]) -> None:
        lease_count = await connection.fetchval(
            layout.WRITE_BATCH, self._epoch, *arguments, timeout=_WRITE_SECONDS_MAX
        )
        if lease_count != 1:
            raise LeaseLostError(str(self._address))

    async def _connected_writer(self) -> Any:
        """The writing connection; a new one if it was lost while nothing was being written."""
        deadline = self._clock.monotonic() + _RECONNECT_SECONDS_MAX
        while self._writer.is_closed():
            try:
                self._writer = await self._address.connect(layout.WRITER_SETTINGS)
            except _LOST as error:
                await self._pause(error, deadline)
        return self._writer

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        """All rows; asks again on a new connection when the server was lost."""
        deadline = self._clock.monotonic() + _RECONNECT_SECONDS_MAX
        while True:
            try:
                return await self._readers.fetch(statement, *arguments)
            except _LOST as error:
                await self._pause(error, deadline)

    async def _pause(self, error: Exception, deadline: float) -> None:
        """Wait a little before the next try. Raises: DatabaseUnreachable after the deadline."""
        if self._clock.monotonic() >= deadline:
            raise self._address.error(error) from error
        _log.warning("lost %s: %s", self._address, error)
        await self._clock.sleep(_RECONNECT_PAUSE_SECONDS)

    def _revision(
        self,
        key_prefix: bytes,
        key_suffix: bytes,
        ts: int,
        tablet_id: bytes,
        internal_id: bytes,
        *stored: Any,
    ) -> Revision:
        key = key_prefix + key_suffix
        document = self._documents.find((ts, tablet_id, internal_id))
        if document is None:
            value, size_bytes, creation_time = stored
            if value is None:
                raise internal_error(f"an index leads to no document: {key.hex()}")
            document = Document(
                tablet_id=TabletId(tablet_id),
                internal_id=InternalId(internal_id),
                id_text=id_text_of_key(key),
                creation_time=creation_time,
                value_json=value.decode(),
                size_bytes=size_bytes,
            )
            self._documents.add((ts, tablet_id, internal_id), document)
        return Revision(key, ts, document)


def _stored_document(
    tablet_id: bytes,
    internal_id: bytes,
    value: bytes | None,
    size_bytes: int | None,
    creation_time: float | None,
) -> Document | None:
    value_json = None if value is None else value.decode()
    return decode_stored_document(tablet_id, internal_id, value_json, size_bytes, creation_time)


class _Address:
    """Where the database is. As text it shows host and database, never the password."""

    def __init__(self, url: str) -> None:
        """Raises: InvalidDatabaseUrl."""
        parts = urlsplit(url)
        # An @ behind the host belongs to a password, whose beginning would be taken for the host.
        is_ambiguous = "@" in parts.path + parts.query + parts.fragment
        if parts.scheme not in ("postgres", "postgresql") or is_ambiguous:
            raise _invalid_url()
        self._url = url
        self._host = parts.netloc.rpartition("@")[2] or "the local socket"
        self._database = parts.path.removeprefix("/")

    def __str__(self) -> str:
        return f"the Postgres database {self._database!r} at {self._host}"

    async def connect(self, settings: dict[str, str]) -> Any:
        """A new connection. Raises: InvalidDatabaseUrl, the driver's errors."""
        try:
            return await asyncpg.connect(
                self._url, timeout=_CONNECT_SECONDS_MAX, server_settings=settings
            )
        except ValueError as error:
            raise _invalid_url() from error

    def error(self, error: Exception) -> FenchelError:
        """What the driver reports, as something that a user can act on."""
        match error:
            case asyncpg.InvalidAuthorizationSpecificationError():
                code, advice = "DatabaseLoginRefused", "Check user and password in the URL."
            case asyncpg.InvalidCatalogNameError():
                code, advice = "DatabaseMissing", "Create it, or correct the URL."
            case asyncpg.InsufficientPrivilegeError() | asyncpg.ReadOnlySQLTransactionError():
                code, advice = "DatabaseNotWritable", "The user must be allowed to create schemas."
            case _:
                code, advice = "DatabaseUnreachable", "Check that the server runs, and the URL."
        reason = str(error) or "no answer in time"
        return FenchelError(
            ErrorKind.OPERATIONAL, code, f"Cannot use {self}: {reason.rstrip('.')}. {advice}"
        )


def _invalid_url() -> FenchelError:
    return bad_request(
        "InvalidDatabaseUrl",
        "The database URL must have the form postgres://user:password@host:port/database, with "
        "characters such as @ / ? # in user and password written as %40 %2F %3F %23.",
    )


async def _take_lease(connection: Any, address: _Address) -> int:
    """The new epoch. From here on no earlier server can write. Raises: DatabaseTooNew."""
    async with connection.transaction():
        await connection.execute(layout.LOCK_LAYOUT)
        if not await connection.fetchval(layout.HAS_LAYOUT):
            await connection.execute(layout.CREATE_SCHEMA)
            await connection.execute(layout.CREATE_LAYOUT)
        version = await connection.fetchval(layout.LOAD_LAYOUT_VERSION)
        if version > layout.LAYOUT_VERSION:
            raise FenchelError(
                ErrorKind.OPERATIONAL,
                "DatabaseTooNew",
                f"The data in {address} has layout {version}; this version of Fenchel knows "
                f"layouts up to {layout.LAYOUT_VERSION}. Use a newer version.",
            )
        return cast("int", await connection.fetchval(layout.TAKE_LEASE))


async def _close(connections: Any) -> None:
    """Close a connection or pool in order; at once if the server does not answer."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS_MAX):
            await connections.close()
    except _DRIVER_ERRORS:
        connections.terminate()
