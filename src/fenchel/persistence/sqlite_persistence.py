"""Persistence in one SQLite file: WAL, every commit synced, one writer thread, reads inline.

Reads run on the event loop's thread on a second connection: a page costs less than a thread switch
and is bounded in rows and bytes. No other file names the driver (apsw).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

import apsw

from fenchel.documents import Document, InternalId, Interval, TabletId
from fenchel.errors import ErrorKind, FenchelError, internal_error
from fenchel.persistence.data_directory import DataDirectoryLock, not_writable
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
from fenchel.persistence.stored_document import decode_stored_document
from fenchel.runtime.settings import DatabaseSettings

_FILE_NAME: Final = "fenchel.sqlite3"
_LAYOUT_VERSION: Final = 1
# The longest time the reader waits for the writer's checkpoint or recovery.
_BUSY_MILLISECONDS: Final = 10_000
# SQLite's own 2 MiB hold the index of few thousand documents; beyond it each page is a system call.
_READER_CACHE_KIBIBYTES: Final = 32 << 10

# Database specification 9.1; size and creation time stand beside the value so that reading needs no
# decoding. WITHOUT ROWID: each table is its primary key's tree, no second look-up.
_LAYOUT: Final = """
CREATE TABLE documents (
    ts INTEGER NOT NULL, table_id BLOB NOT NULL, id BLOB NOT NULL, json_value TEXT,
    deleted INTEGER NOT NULL, prev_ts INTEGER, size_bytes INTEGER NOT NULL,
    creation_time REAL NOT NULL,
    PRIMARY KEY (ts, table_id, id)
) WITHOUT ROWID;
CREATE TABLE indexes (
    index_id BLOB NOT NULL, key BLOB NOT NULL, ts INTEGER NOT NULL, deleted INTEGER NOT NULL,
    table_id BLOB, document_id BLOB,
    PRIMARY KEY (index_id, key, ts)
) WITHOUT ROWID;
CREATE TABLE table_summaries (
    table_id BLOB PRIMARY KEY, document_count INTEGER NOT NULL, size_bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE persistence_globals (key TEXT PRIMARY KEY, json_value TEXT NOT NULL) WITHOUT ROWID;
"""

# Few documents are deletions, and these must be found by id: an index of them alone costs other
# writes nothing. Data of older versions gets it when it is opened.
_CREATE_DELETIONS: Final = """
CREATE INDEX IF NOT EXISTS deletions ON documents (table_id, id) WHERE deleted = 1
"""

_INSERT_DOCUMENT: Final = "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_INDEX_ROW: Final = "INSERT OR REPLACE INTO indexes VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_SUMMARY: Final = "INSERT OR REPLACE INTO table_summaries VALUES (?, ?, ?)"
_INSERT_GLOBAL: Final = "INSERT OR REPLACE INTO persistence_globals VALUES (?, ?)"
_DELETE_DOCUMENT: Final = "DELETE FROM documents WHERE ts = ? AND table_id = ? AND id = ?"
_DELETE_INDEX_ROW: Final = "DELETE FROM indexes WHERE index_id = ? AND key = ? AND ts = ?"

# The newest visible version of each key. SQLite takes the bare columns from the row that holds
# max(ts) and walks the primary key, so LIMIT stops the walk. Measured against NOT EXISTS: 20 %
# cheaper; against joining the documents, most of which the cache holds: 37 µs for 20 rows, not 125.
_SELECT_PAGE: Final = """
SELECT key, max(ts), table_id, document_id, deleted FROM indexes
WHERE index_id = ?1 AND key >= ?2 AND key < ?3 AND ts <= ?4
GROUP BY key HAVING deleted = 0 ORDER BY key {order} LIMIT ?5
"""
_SELECT_ASCENDING: Final = _SELECT_PAGE.format(order="ASC")
_SELECT_DESCENDING: Final = _SELECT_PAGE.format(order="DESC")
_SELECT_DOCUMENT: Final = """
SELECT json_value, size_bytes, creation_time FROM documents
WHERE ts = ? AND table_id = ? AND id = ?
"""
_SELECT_LOG: Final = """
SELECT new.ts, new.table_id, new.id, new.prev_ts,
    new.json_value, new.size_bytes, new.creation_time,
    old.json_value, old.size_bytes, old.creation_time
FROM documents AS new LEFT JOIN documents AS old
    ON old.ts = new.prev_ts AND old.table_id = new.table_id AND old.id = new.id
WHERE (new.ts, new.table_id, new.id) > (?, ?, ?) AND new.ts <= ?
ORDER BY new.ts, new.table_id, new.id LIMIT ?
"""
_SELECT_DELETION: Final = """
SELECT EXISTS (SELECT 1 FROM documents WHERE table_id = ? AND id = ? AND deleted = 1)
"""
_SELECT_INDEX_ROWS: Final = """
SELECT index_id, key, ts, deleted, table_id, document_id FROM indexes
WHERE index_id = ? ORDER BY key, ts LIMIT ?
"""
# Key, timestamp, tablet id, internal id, deleted.
_IndexedRow = tuple[bytes, int, bytes, bytes, int]


class SqlitePersistence:
    """`Persistence` over `<directory>/fenchel.sqlite3`, held by this process alone."""

    def __init__(
        self,
        lock: DataDirectoryLock,
        writer: apsw.Connection,
        reader: apsw.Connection,
        settings: DatabaseSettings,
    ) -> None:
        self._lock = lock
        self._writer = writer
        self._reader = reader
        # Used on the event loop's thread only.
        self._documents = DocumentCache(settings.document_cache_bytes_max)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fenchel-sqlite-writer")
        self._is_closed = False

    @classmethod
    def open(cls, directory: Path, settings: DatabaseSettings | None = None) -> SqlitePersistence:
        """Open or create the database of `directory`.

        Raises: DataDirectoryLocked, DataDirectoryNotWritable, DataDirectoryTooNew.
        """
        lock = DataDirectoryLock.acquire(directory)
        try:
            path = str(directory / _FILE_NAME)
            writer = _open_writer(path)
            reader = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
            reader.set_busy_timeout(_BUSY_MILLISECONDS)
            reader.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIBIBYTES}")
        except apsw.Error as error:
            lock.release()
            raise not_writable(directory, str(error)) from error
        except BaseException:
            lock.release()
            raise
        return cls(lock, writer, reader, settings or DatabaseSettings())

    def check_owned(self) -> None:
        """The lock on the directory lasts as long as this object."""

    async def wait_lost(self) -> None:
        await asyncio.Event().wait()

    async def write(self, batch: WriteBatch) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, batch)
        for ts, tablet_id, internal_id, document, _ in batch.documents:
            if document is not None:
                self._documents.add((ts, tablet_id, internal_id), document)

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        end = AFTER_ALL_KEYS if interval.end is None else interval.end
        statement = _SELECT_DESCENDING if is_descending else _SELECT_ASCENDING
        bindings = (index_id, interval.start, end, ts, limit)
        rows = cast("list[_IndexedRow]", self._reader.execute(statement, bindings).fetchall())
        revisions: list[Revision] = []
        page_bytes = 0
        for row in rows:
            revision_key = row[1:4]
            document = self._documents.find(revision_key)
            if document is None:
                document = self._load_document(revision_key, row[0])
            revisions.append(Revision(row[0], row[1], document))
            page_bytes += document.size_bytes
            if page_bytes > PAGE_BYTES_MAX:
                return IndexPage(revisions, True)
        return IndexPage(revisions, len(revisions) == limit)

    async def load_log_page(self, after: RevisionKey, *, through_ts: int, limit: int) -> LogPage:
        cursor = self._reader.execute(_SELECT_LOG, (*after, through_ts, limit))
        rows: list[LogRow] = []
        page_bytes = 0
        try:
            for ts, tablet_id, internal_id, prev_ts, *contents in cursor:
                ids = (tablet_id, internal_id)
                document = decode_stored_document(*ids, *contents[:3])
                previous = decode_stored_document(*ids, *contents[3:])
                rows.append(LogRow(ts, *ids, document, prev_ts, previous))
                page_bytes += sum(found.size_bytes for found in (document, previous) if found)
                if page_bytes > PAGE_BYTES_MAX:
                    return LogPage(rows, True)
        finally:
            cursor.close()
        return LogPage(rows, len(rows) == limit)

    async def was_deleted(self, tablet_id: bytes, internal_id: bytes) -> bool:
        rows: list[Any] = self._reader.execute(
            _SELECT_DELETION, (tablet_id, internal_id)
        ).fetchall()
        return bool(rows[0][0])

    async def load_index_rows(self, index_id: bytes, *, limit: int) -> list[IndexRow]:
        rows: list[Any] = self._reader.execute(_SELECT_INDEX_ROWS, (index_id, limit)).fetchall()
        return [IndexRow(i, k, ts, bool(d), t, doc) for i, k, ts, d, t, doc in rows]

    async def load_latest_ts(self) -> int:
        rows = self._select("SELECT coalesce(max(ts), 0) FROM documents")
        return cast("int", rows[0][0])

    async def load_summaries(self) -> list[SummaryRow]:
        return [SummaryRow(*row) for row in self._select("SELECT * FROM table_summaries")]

    async def load_globals(self) -> dict[str, str]:
        return dict(self._select("SELECT * FROM persistence_globals"))

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._writer.close)
        self._thread.shutdown()
        self._reader.close()
        self._lock.release()

    def _load_document(self, revision_key: RevisionKey, index_key: bytes) -> Document:
        rows: list[Any] = self._reader.execute(_SELECT_DOCUMENT, revision_key).fetchall()
        if not rows or rows[0][0] is None:
            raise internal_error(f"an index leads to no document: {index_key.hex()}")
        value_json, size_bytes, creation_time = rows[0]
        _, tablet_id, internal_id = revision_key
        document = Document(
            tablet_id=TabletId(tablet_id),
            internal_id=InternalId(internal_id),
            id_text=id_text_of_key(index_key),
            creation_time=creation_time,
            value_json=value_json,
            size_bytes=size_bytes,
        )
        self._documents.add(revision_key, document)
        return document

    def _select(self, statement: str) -> list[Any]:
        return self._reader.execute(statement).fetchall()

    def _write(self, batch: WriteBatch) -> None:
        """Runs in the writer thread: one database transaction, synced before it returns."""
        writer = self._writer
        is_committing = False
        try:
            writer.execute("BEGIN IMMEDIATE")
            self._execute(batch)
            is_committing = True
            writer.execute("COMMIT")
        except BaseException as error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            if _is_surely_not_stored(error, is_committing):
                raise NotStoredError(str(error)) from error
            raise

    def _execute(self, batch: WriteBatch) -> None:
        writer = self._writer
        if batch.documents:
            writer.executemany(_INSERT_DOCUMENT, _document_bindings(batch))
        if batch.index_rows:
            writer.executemany(_INSERT_INDEX_ROW, batch.index_rows)
        if batch.summaries:
            writer.executemany(_INSERT_SUMMARY, batch.summaries)
        if batch.global_values:
            writer.executemany(_INSERT_GLOBAL, batch.global_values.items())
        if batch.expired_documents:
            writer.executemany(_DELETE_DOCUMENT, batch.expired_documents)
        if batch.expired_index_rows:
            writer.executemany(_DELETE_INDEX_ROW, batch.expired_index_rows)


def _is_surely_not_stored(error: BaseException, is_committing: bool) -> bool:
    """Whether the storage refused the transaction, which was rolled back without a trace.

    Before COMMIT no frame of it counts. During COMMIT the last frame makes it valid, so a frame
    that could not be written is certain; but after a failed sync or a failed update of the shared
    index the next start may find all frames: that stays unknown.
    """
    if not is_committing:
        return isinstance(error, apsw.FullError | apsw.IOError | apsw.BusyError | apsw.NoMemError)
    if isinstance(error, apsw.IOError):
        # The driver's type stubs do not know the attribute.
        return getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_WRITE
    return isinstance(error, apsw.FullError)


def _open_writer(path: str) -> apsw.Connection:
    writer = apsw.Connection(path)
    writer.set_busy_timeout(_BUSY_MILLISECONDS)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = FULL")
    version = writer.pragma("user_version")
    if version > _LAYOUT_VERSION:
        raise FenchelError(
            ErrorKind.OPERATIONAL,
            "DataDirectoryTooNew",
            f"The data in {path} has layout {version}; this version of Fenchel knows layouts up to "
            f"{_LAYOUT_VERSION}. Use a newer version.",
        )
    if version == 0:
        writer.execute(f"BEGIN; {_LAYOUT} PRAGMA user_version = {_LAYOUT_VERSION}; COMMIT")
    writer.execute(_CREATE_DELETIONS)
    return writer


def _document_bindings(batch: WriteBatch) -> Iterator[tuple[object, ...]]:
    for ts, tablet_id, internal_id, document, prev_ts in batch.documents:
        if document is None:
            yield ts, tablet_id, internal_id, None, 1, prev_ts, 0, 0.0
        else:
            yield (
                ts,
                tablet_id,
                internal_id,
                document.value_json,
                0,
                prev_ts,
                document.size_bytes,
                document.creation_time,
            )
