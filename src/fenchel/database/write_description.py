"""A write of the commit log in words: which document of which table, and which function did it."""

from __future__ import annotations

from fenchel.database.metadata import Metadata
from fenchel.database.read_set import IndexWrite
from fenchel.database.system_tables import TABLES
from fenchel.documents import TabletId, encode_document_id
from fenchel.errors import ConflictSource


def describe_write(
    write: IndexWrite, metadata: Metadata, *, is_own_function: bool = False
) -> ConflictSource:
    """`metadata` is of any time since the write: a table may have been removed since."""
    table = metadata.tables.get(TabletId(write.tablet_id))
    return ConflictSource(
        table_name=table.name if table else TABLES,
        document_id=encode_document_id(table.number, write.internal_id) if table else None,
        write_ts=write.ts,
        write_source=write.write_source,
        is_system_table=table is None or not table.is_user,
        is_own_function=is_own_function,
    )
