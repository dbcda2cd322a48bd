"""Persistence in a Postgres database: one connection writes, a small pool reads, one watches.

A lease keeps every other server from writing. A write whose connection is lost under it has an
unknown outcome; it is looked up on the next connection, and made again if it did not happen. Only
the files `postgres_*` name the driver (asyncpg).
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final, cast

import asyncpg  # type: ignore[import-untyped]  # ships no types

from fenchel.documents import Document, InternalId, Interval, TabletId
from fenchel.errors import internal_error
from fenchel.persistence import postgres_layout as layout
from fenchel.persistence.document_cache import DocumentCache
from fenchel.persistence.page import AFTER_ALL_KEYS, PAGE_BYTES_MAX, id_text_of_key
from fenchel.persistence.persistence import (
    IndexPage,
    IndexRow,
    LogPage,
    LogRow,
    NotStoredError,
    Revision,
    RevisionKey,
    SummaryRow,
    WriteBatch,
)
from fenchel.persistence.postgres_address import DRIVER_ERRORS, LOST, REFUSED, PostgresAddress
from fenchel.persistence.postgres_lease import PostgresLease, unreachable
from fenchel.persistence.postgres_readers import PostgresReaders
from fenchel.persistence.stored_document import decode_stored_document
from fenchel.runtime import Runtime

_log = logging.getLogger(__name__)

_WRITE_SECONDS_MAX: Final = 60.0
_CLOSE_SECONDS_MAX: Final = 5.0
# How long a lost server may be away before reads, and writes that were not sent, are refused.
_RECONNECT_SECONDS_MAX: Final = 15.0
# A write of unknown outcome is worth more patience: giving it up ends the process.
_UNKNOWN_SECONDS_MAX: Final = 120.0
_RECONNECT_PAUSE_SECONDS: Final = 0.1
# What a write fails with when its connection ends under it; a connection that still lives after
# such an error has another problem.
_LOST_WRITE: Final = (*LOST, asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgresPersistence:
    """`Persistence` in the schema `fenchel` of one database, written by this server alone.

    Invariant: whatever this object writes, it writes while the lease is its own.
    """

    def __init__(
        self, *, address: PostgresAddress, runtime: Runtime, writer: Any, lease: PostgresLease
    ) -> None:
        self._address = address
        self._clock = runtime.clock
        self._documents = DocumentCache(runtime.settings.database.document_cache_bytes_max)
        self._writer = writer
        self._write_lock = asyncio.Lock()
        self._readers = PostgresReaders(partial(address.connect, layout.READER_SETTINGS))
        self._lease = lease
        self._watch = asyncio.create_task(
            lease.watch(partial(address.connect, layout.LEASE_SETTINGS)), name="lease of Postgres"
        )
        self._is_closed = False

    @classmethod
    async def open(cls, url: str, runtime: Runtime) -> PostgresPersistence:
        """Take over the database of a `postgres://` URL; create the layout in an empty one.

        A server that used it until now loses its lease. Raises: InvalidDatabaseUrl,
        DatabaseUnreachable, DatabaseLoginRefused, DatabaseMissing, DatabaseNotWritable,
        DatabaseTooNew.
        """
        address = PostgresAddress(url)
        try:
            writer = await address.connect(layout.WRITER_SETTINGS)
            try:
                lease = await PostgresLease.take(writer, address, runtime.clock)
            except BaseException:
                writer.terminate()
                raise
        except DRIVER_ERRORS as error:
            raise address.error(error) from error
        return cls(address=address, runtime=runtime, writer=writer, lease=lease)

    def check_owned(self) -> None:
        self._lease.check()

    async def wait_lost(self) -> None:
        await self._lease.lost.wait()

    async def write(self, batch: WriteBatch) -> None:
        async with self._write_lock:
            await self._connect_writer()
            try:
                await self._write(self._writer, batch)
            except _LOST_WRITE as error:
                if isinstance(error, asyncpg.InterfaceError) and not self._writer.is_closed():
                    raise
                _log.warning("lost %s in a write: %s", self._address, error)
                await self._settle(batch)
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

    async def was_deleted(self, tablet_id: bytes, internal_id: bytes) -> bool:
        records = await self._fetch(layout.HAS_DELETION, tablet_id, internal_id)
        return cast("bool", records[0][0])

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
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)
        async with self._write_lock:
            await _close(self._writer)
        await _close(self._readers)

    async def _write(self, connection: Any, batch: WriteBatch) -> None:
        """One transaction. Raises: NotStoredError, LeaseLostError, the driver's errors."""
        try:
            await self._write_parts(connection, batch)
        except REFUSED as error:
            raise NotStoredError(str(error)) from error

    async def _write_parts(self, connection: Any, batch: WriteBatch) -> None:
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
            layout.WRITE_BATCH, self._lease.epoch, *arguments, timeout=_WRITE_SECONDS_MAX
        )
        if lease_count != 1:
            self._lease.lose()

    async def _connect_writer(self) -> None:
        """Make the writing connection again if it was lost while nothing was being written.

        Raises: NotStoredError after the deadline.
        """
        deadline = self._clock.monotonic() + _RECONNECT_SECONDS_MAX
        while self._writer.is_closed():
            try:
                self._writer = await self._address.connect(layout.WRITER_SETTINGS)
            except LOST as error:
                if not await self._pause(error, deadline):
                    raise NotStoredError("the database does not answer", "Try again.") from error

    async def _settle(self, batch: WriteBatch) -> None:
        """Let a write of unknown outcome have happened, once.

        Raises: what leaves the outcome unknown, when the server stays away or has another owner.
        """
        deadline = self._clock.monotonic() + _UNKNOWN_SECONDS_MAX
        while True:
            try:
                self._writer.terminate()
                self._writer = await self._address.connect(layout.WRITER_SETTINGS)
                await self._lease.retake(self._writer)
                if not await self._is_stored(batch):
                    await self._write(self._writer, batch)
            except _LOST_WRITE as error:
                if not await self._pause(error, deadline):
                    raise self._address.error(error) from error
            else:
                _log.info("a write of unknown outcome is stored in %s", self._address)
                return

    async def _is_stored(self, batch: WriteBatch) -> bool:
        """A batch is stored as a whole, so one revision tells; without any it can be repeated."""
        if not batch.documents:
            return False
        row = batch.documents[-1]
        arguments = (row.ts, row.tablet_id, row.internal_id)
        return bool(await self._writer.fetchval(layout.HAS_DOCUMENT, *arguments, timeout=30.0))

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        """All rows; asks again on a new connection when the server was lost.

        Raises: LeaseLostError if another server may have deleted some of them.
        """
        deadline = self._clock.monotonic() + _RECONNECT_SECONDS_MAX
        while True:
            try:
                rows = await self._readers.fetch(statement, *arguments)
            except LOST as error:
                if not await self._pause(error, deadline):
                    raise unreachable() from error
            else:
                self._lease.check_not_lost()
                return rows

    async def _pause(self, error: Exception, deadline: float) -> bool:
        """Wait a little before the next try; False if the time for tries is over."""
        _log.warning("lost %s: %s", self._address, error)
        if self._clock.monotonic() >= deadline:
            return False
        await self._clock.sleep(_RECONNECT_PAUSE_SECONDS)
        return True

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


async def _close(connections: Any) -> None:
    """Close a connection or pool in order; at once if the server does not answer."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS_MAX):
            await connections.close()
    except DRIVER_ERRORS:
        connections.terminate()
