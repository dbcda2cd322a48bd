"""Durable storage of revisions and index entries: memory and SQLite."""

from fenchel.persistence.memory_persistence import MemoryPersistence
from fenchel.persistence.memory_store import MemoryStore
from fenchel.persistence.persistence import (
    DocumentRow,
    IndexPage,
    IndexRow,
    Persistence,
    Revision,
    SummaryRow,
    WriteBatch,
)
from fenchel.persistence.sqlite_persistence import SqlitePersistence

__all__ = [
    "DocumentRow",
    "IndexPage",
    "IndexRow",
    "MemoryPersistence",
    "MemoryStore",
    "Persistence",
    "Revision",
    "SqlitePersistence",
    "SummaryRow",
    "WriteBatch",
]
