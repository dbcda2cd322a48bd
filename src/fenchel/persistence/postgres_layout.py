"""Tables, settings and statements of the Postgres persistence; rows as arguments. No driver here.

Everything lies in the schema `fenchel` of the database. Source: database specification 9.1.

Order: `bytea` compares bytewise, as index keys must. A Postgres index row holds some 2,700 bytes,
so a key is stored as its first 2,500 bytes and the rest; the SHA-256 of long keys tells them apart
in the primary key, and rows that share their first 2,500 bytes are sorted by the rest when read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from fenchel.persistence.page import PAGE_BYTES_MAX
from fenchel.persistence.persistence import DocumentRow, IndexRow, IndexRowKey, WriteBatch

LAYOUT_VERSION: Final = 1
KEY_PREFIX_BYTES: Final = 2_500
# Arguments of one statement; Postgres refuses messages beyond 1 GiB.
_STATEMENT_BYTES_MAX: Final = 16 << 20
# What a row costs beside its key and value.
_ROW_BYTES: Final = 100

# What the owner of the database may have set otherwise; durability and the lease depend on it. A
# server that has gone while it was writing must not keep the lease row locked.
WRITER_SETTINGS: Final = {
    "application_name": "fenchel writer",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "idle_in_transaction_session_timeout": "30s",
}
LEASE_SETTINGS: Final = {"application_name": "fenchel lease"}
# Pages are read in the order of the index and stopped by LIMIT. The planner must not prefer to sort
# or hash all rows, which it does for tables whose statistics it does not have yet.
READER_SETTINGS: Final = {
    "application_name": "fenchel reader",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
}

# Size and creation time stand beside the value so that reading needs no decoding. Values are UTF-8
# whatever encoding the database has. The lease row names the server that owns the data.
CREATE_LAYOUT: Final = f"""
CREATE TABLE fenchel.documents (
    ts bigint NOT NULL, table_id bytea NOT NULL, id bytea NOT NULL, json_value bytea,
    deleted boolean NOT NULL, prev_ts bigint, size_bytes bigint NOT NULL,
    creation_time double precision NOT NULL,
    PRIMARY KEY (ts, table_id, id)
);
CREATE TABLE fenchel.indexes (
    index_id bytea NOT NULL, key_prefix bytea NOT NULL, key_suffix bytea NOT NULL,
    key_sha256 bytea NOT NULL, ts bigint NOT NULL, deleted boolean NOT NULL,
    table_id bytea NOT NULL, document_id bytea NOT NULL,
    PRIMARY KEY (index_id, key_prefix, key_sha256, ts)
);
CREATE TABLE fenchel.table_summaries (
    table_id bytea PRIMARY KEY, document_count bigint NOT NULL, size_bytes bigint NOT NULL
);
CREATE TABLE fenchel.persistence_globals (key text PRIMARY KEY, json_value text NOT NULL);
CREATE TABLE fenchel.lease (epoch bigint NOT NULL, layout_version bigint NOT NULL);
INSERT INTO fenchel.lease VALUES (0, {LAYOUT_VERSION});
"""
# Few documents are deletions, and these must be found by id: an index of them alone costs other
# writes nothing. Databases of older versions get it when they are opened.
HAS_DELETIONS: Final = "SELECT to_regclass('fenchel.deletions') IS NOT NULL"
CREATE_DELETIONS: Final = """
CREATE INDEX IF NOT EXISTS deletions ON fenchel.documents (table_id, id) WHERE deleted
"""
# One at a time may create the layout: "if not exists" alone fails when two do. The number is ours.
LOCK_LAYOUT: Final = "SELECT pg_advisory_xact_lock(7311704253914407)"
HAS_LAYOUT: Final = "SELECT to_regclass('fenchel.lease') IS NOT NULL"
CREATE_SCHEMA: Final = "CREATE SCHEMA IF NOT EXISTS fenchel"
LOAD_LAYOUT_VERSION: Final = "SELECT layout_version FROM fenchel.lease"
TAKE_LEASE: Final = "UPDATE fenchel.lease SET epoch = epoch + 1 RETURNING epoch"
RETAKE_LEASE: Final = """
UPDATE fenchel.lease SET epoch = $2 WHERE epoch = ANY($1::bigint[]) RETURNING epoch
"""
LOAD_EPOCH: Final = "SELECT epoch FROM fenchel.lease"
LEASE_CHANNEL: Final = "fenchel_lease"
NOTIFY_TAKEN: Final = f"SELECT pg_notify('{LEASE_CHANNEL}', '')"

# Everything in one statement: one round trip and one durable transaction. The lease row is locked
# first and every insert joins it, so a server whose epoch has passed writes nothing and gets 0.
WRITE_BATCH: Final = """
WITH lease AS MATERIALIZED (SELECT epoch FROM fenchel.lease WHERE epoch = $1 FOR UPDATE),
new_documents AS (
    INSERT INTO fenchel.documents
    SELECT rows.* FROM lease, unnest(
        $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::boolean[], $7::bigint[],
        $8::bigint[], $9::double precision[]) AS rows
),
new_index_rows AS (
    INSERT INTO fenchel.indexes
    SELECT rows.* FROM lease, unnest(
        $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bigint[], $15::boolean[],
        $16::bytea[], $17::bytea[]) AS rows
    ON CONFLICT (index_id, key_prefix, key_sha256, ts) DO UPDATE SET
        deleted = excluded.deleted, table_id = excluded.table_id,
        document_id = excluded.document_id
),
new_summaries AS (
    INSERT INTO fenchel.table_summaries
    SELECT rows.* FROM lease, unnest($18::bytea[], $19::bigint[], $20::bigint[]) AS rows
    ON CONFLICT (table_id) DO UPDATE SET
        document_count = excluded.document_count, size_bytes = excluded.size_bytes
),
new_globals AS (
    INSERT INTO fenchel.persistence_globals
    SELECT rows.* FROM lease, unnest($21::text[], $22::text[]) AS rows
    ON CONFLICT (key) DO UPDATE SET json_value = excluded.json_value
)
SELECT count(*) FROM lease
"""

# In the transaction of a WRITE_BATCH, which has checked and locked the lease. One row at a time by
# primary key: most writes delete nothing, and no plan can prefer to read a whole table.
DELETE_DOCUMENT: Final = "DELETE FROM fenchel.documents WHERE ts = $1 AND table_id = $2 AND id = $3"
DELETE_INDEX_ROW: Final = """
DELETE FROM fenchel.indexes
WHERE index_id = $1 AND key_prefix = $2 AND key_sha256 = $3 AND ts = $4
"""

# The newest visible version of each key, its document, and no more documents than a page may hold.
# The index gives the order of prefixes; the incremental sort looks only at rows of one prefix, so
# LIMIT stops the walk. Measured: the running sum costs nothing visible beside a round trip.
_SELECT_PAGE: Final = """
SELECT key_prefix, key_suffix, ts, table_id, document_id, json_value, size_bytes, creation_time
FROM (
    SELECT i.*, d.json_value, d.size_bytes, d.creation_time,
        sum(coalesce(d.size_bytes, 0)) OVER (
            ORDER BY i.key_prefix {order}, i.key_suffix {order} ROWS UNBOUNDED PRECEDING
        ) - coalesce(d.size_bytes, 0) AS bytes_before
    FROM (
        SELECT DISTINCT ON (key_prefix, key_suffix)
            key_prefix, key_suffix, ts, deleted, table_id, document_id
        FROM fenchel.indexes
        WHERE index_id = $1 AND (key_prefix, key_suffix) >= ($2, $3)
            AND (key_prefix, key_suffix) < ($4, $5) AND ts <= $6
        ORDER BY key_prefix {order}, key_suffix {order}, ts DESC
    ) i LEFT JOIN fenchel.documents d
        ON d.ts = i.ts AND d.table_id = i.table_id AND d.id = i.document_id
    WHERE NOT i.deleted
    ORDER BY i.key_prefix {order}, i.key_suffix {order} LIMIT $7
) page
WHERE bytes_before <= {bytes_max}
ORDER BY key_prefix {order}, key_suffix {order}
"""
SELECT_ASCENDING: Final = _SELECT_PAGE.format(order="ASC", bytes_max=PAGE_BYTES_MAX)
SELECT_DESCENDING: Final = _SELECT_PAGE.format(order="DESC", bytes_max=PAGE_BYTES_MAX)

# Revisions, each with the one it replaced, and no more of both than a page may hold.
SELECT_LOG: Final = f"""
SELECT ts, table_id, id, prev_ts, json_value, size_bytes, creation_time,
    old_json_value, old_size_bytes, old_creation_time
FROM (
    SELECT new.*, old.json_value AS old_json_value, old.size_bytes AS old_size_bytes,
        old.creation_time AS old_creation_time,
        sum(new.size_bytes + coalesce(old.size_bytes, 0)) OVER (
            ORDER BY new.ts, new.table_id, new.id ROWS UNBOUNDED PRECEDING
        ) - new.size_bytes - coalesce(old.size_bytes, 0) AS bytes_before
    FROM (
        SELECT * FROM fenchel.documents
        WHERE (ts, table_id, id) > ($1, $2, $3) AND ts <= $4
        ORDER BY ts, table_id, id LIMIT $5
    ) new LEFT JOIN fenchel.documents old
        ON old.ts = new.prev_ts AND old.table_id = new.table_id AND old.id = new.id
) page
WHERE bytes_before <= {PAGE_BYTES_MAX}
ORDER BY ts, table_id, id
"""
SELECT_INDEX_ROWS: Final = """
SELECT index_id, key_prefix || key_suffix, ts, deleted, table_id, document_id FROM fenchel.indexes
WHERE index_id = $1 ORDER BY key_prefix, key_suffix, ts LIMIT $2
"""

HAS_DELETION: Final = """
SELECT EXISTS (SELECT FROM fenchel.documents WHERE table_id = $1 AND id = $2 AND deleted)
"""
HAS_DOCUMENT: Final = """
SELECT EXISTS (SELECT FROM fenchel.documents WHERE ts = $1 AND table_id = $2 AND id = $3)
"""
LOAD_LATEST_TS: Final = "SELECT coalesce(max(ts), 0) AS ts FROM fenchel.documents"
LOAD_SUMMARIES: Final = "SELECT table_id, document_count, size_bytes FROM fenchel.table_summaries"
LOAD_GLOBALS: Final = "SELECT key, json_value FROM fenchel.persistence_globals"


def split_key(key: bytes) -> tuple[bytes, bytes]:
    """Prefix and suffix; pairs compare as the whole keys do."""
    return key[:KEY_PREFIX_BYTES], key[KEY_PREFIX_BYTES:]


def split_batch(batch: WriteBatch) -> Iterator[list[object]]:
    """Arguments of WRITE_BATCH after the epoch; more than once if one message cannot carry all."""
    if _size_bytes(batch) <= _STATEMENT_BYTES_MAX:
        yield _arguments(batch)
        return
    documents: list[DocumentRow] = []
    index_rows: list[IndexRow] = []
    size_bytes = 0
    for row in batch.documents:
        documents.append(row)
        size_bytes += _ROW_BYTES + (0 if row.document is None else len(row.document.value_json))
        if size_bytes > _STATEMENT_BYTES_MAX:
            yield _arguments(WriteBatch(documents=documents))
            documents, size_bytes = [], 0
    for index_row in batch.index_rows:
        index_rows.append(index_row)
        size_bytes += _ROW_BYTES + len(index_row.key)
        if size_bytes > _STATEMENT_BYTES_MAX:
            yield _arguments(WriteBatch(documents=documents, index_rows=index_rows))
            documents, index_rows, size_bytes = [], [], 0
    yield _arguments(
        WriteBatch(
            documents=documents,
            index_rows=index_rows,
            summaries=batch.summaries,
            global_values=batch.global_values,
        )
    )


def index_row_key(row: IndexRowKey) -> tuple[object, ...]:
    """Arguments of DELETE_INDEX_ROW."""
    prefix, suffix = split_key(row.key)
    return row.index_id, prefix, _digest(row.key, suffix), row.ts


def _size_bytes(batch: WriteBatch) -> int:
    """Of the documents and index rows, as `split_batch` counts them."""
    row_count = len(batch.documents) + len(batch.index_rows)
    texts_bytes = sum([len(row[3].value_json) for row in batch.documents if row[3] is not None])
    return _ROW_BYTES * row_count + texts_bytes + sum([len(row[1]) for row in batch.index_rows])


def _arguments(batch: WriteBatch) -> list[object]:
    """One list per column, in the order of WRITE_BATCH."""
    return [
        *_document_columns(batch.documents),
        *_index_columns(batch.index_rows),
        *_columns(batch.summaries, 3),
        list(batch.global_values),
        list(batch.global_values.values()),
    ]


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    if not rows:
        return [[] for _ in range(count)]
    return [list(column) for column in zip(*rows, strict=True)]


def _document_columns(rows: Sequence[DocumentRow]) -> list[list[Any]]:
    timestamps, tablet_ids, internal_ids, documents, prev_timestamps = _columns(rows, 5)
    return [
        timestamps,
        tablet_ids,
        internal_ids,
        [None if document is None else document.value_json.encode() for document in documents],
        [document is None for document in documents],
        prev_timestamps,
        [0 if document is None else document.size_bytes for document in documents],
        [0.0 if document is None else document.creation_time for document in documents],
    ]


def _index_columns(rows: Sequence[IndexRow]) -> list[list[Any]]:
    index_ids, keys, *others = _columns(rows, 6)
    if max(map(len, keys), default=0) <= KEY_PREFIX_BYTES:
        nothing = [b""] * len(keys)
        return [index_ids, keys, nothing, nothing, *others]
    prefixes, suffixes = _columns([split_key(key) for key in keys], 2)
    digests = [_digest(key, suffix) for key, suffix in zip(keys, suffixes, strict=True)]
    return [index_ids, prefixes, suffixes, digests, *others]


def _digest(key: bytes, suffix: bytes) -> bytes:
    """What tells long keys with the same prefix apart."""
    return hashlib.sha256(key).digest() if suffix else b""
