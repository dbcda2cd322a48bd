"""Durable storage of revisions and index entries: memory, SQLite and Postgres."""

from fenchel.persistence.document_cache import document_weight
from fenchel.persistence.memory_persistence import MemoryPersistence
from fenchel.persistence.memory_store import MemoryStore
from fenchel.persistence.persistence import (
    DocumentRow,
    IndexPage,
    IndexRow,
    IndexRowKey,
    LeaseLostError,
    LogPage,
    LogRow,
    NotStoredError,
    Persistence,
    Revision,
    RevisionKey,
    SummaryRow,
    WriteBatch,
)
from fenchel.persistence.postgres_persistence import PostgresPersistence
from fenchel.persistence.segmented_cache import SegmentedCache
from fenchel.persistence.sqlite_persistence import SqlitePersistence

__all__ = [
    "DocumentRow",
    "IndexPage",
    "IndexRow",
    "IndexRowKey",
    "LeaseLostError",
    "LogPage",
    "LogRow",
    "MemoryPersistence",
    "MemoryStore",
    "NotStoredError",
    "Persistence",
    "PostgresPersistence",
    "Revision",
    "RevisionKey",
    "SegmentedCache",
    "SqlitePersistence",
    "SummaryRow",
    "WriteBatch",
    "document_weight",
]
