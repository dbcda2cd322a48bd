"""Durable storage of revisions and index entries: memory, SQLite and Postgres."""

from fenchel.persistence.memory_persistence import MemoryPersistence
from fenchel.persistence.memory_store import MemoryStore
from fenchel.persistence.persistence import (
    DocumentRow,
    IndexPage,
    IndexRow,
    LeaseLostError,
    Persistence,
    Revision,
    SummaryRow,
    WriteBatch,
)
from fenchel.persistence.postgres_persistence import PostgresPersistence
from fenchel.persistence.sqlite_persistence import SqlitePersistence

__all__ = [
    "DocumentRow",
    "IndexPage",
    "IndexRow",
    "LeaseLostError",
    "MemoryPersistence",
    "MemoryStore",
    "Persistence",
    "PostgresPersistence",
    "Revision",
    "SqlitePersistence",
    "SummaryRow",
    "WriteBatch",
]
