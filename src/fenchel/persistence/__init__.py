"""Durable storage of revisions and index entries: memory and SQLite."""

from fenchel.persistence.persistence import (
    DocumentRow,
    IndexedRevision,
    IndexRow,
    Persistence,
    SummaryRow,
    WriteBatch,
)

__all__ = [
    "DocumentRow",
    "IndexRow",
    "IndexedRevision",
    "Persistence",
    "SummaryRow",
    "WriteBatch",
]
