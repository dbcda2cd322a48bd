"""What the tables of a deployment look like, for connectors that make tables of them elsewhere
(database specification 10.7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fenchel.database import (
    Database,
    Namespace,
    NamespaceTableNames,
    SchemaTables,
    SnapshotReader,
    TableSize,
    Transaction,
)
from fenchel.definitions import JsonSchema, SchemaWriter, Validator
from fenchel.documents import decode_document_id
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime

# Shorter and longer texts are no ids (database specification 1.4).
_ID_LENGTHS = range(31, 38)


async def describe_tables(
    database: Database, runtime: Runtime, *, is_lossless: bool
) -> Mapping[Namespace, Mapping[str, JsonSchema]]:
    """JSON Schemas of all user tables, by component and name.

    Reads the first documents of each table: a field that only later ones have is missing, and the
    schema then says that there may be more.
    """
    tx = database.begin()
    reader = SnapshotReader(database, ts=tx.begin_ts)
    described: dict[Namespace, dict[str, JsonSchema]] = {}
    with database.hold_snapshot(reader.ts):
        for size in reader.list_user_tables(None):
            schema = await _describe_table(tx, reader, size, runtime, is_lossless)
            described.setdefault(size.table.namespace, {})[size.table.name] = schema
    return described


async def _describe_table(
    tx: Transaction, reader: SnapshotReader, size: TableSize, runtime: Runtime, is_lossless: bool
) -> JsonSchema:
    table = size.table
    page = await reader.load_page(
        table, after_id=None, limit=runtime.settings.snapshot.described_rows
    )
    writer = SchemaWriter(is_lossless=is_lossless, find_id_table=_id_finder(tx, table.namespace))
    return writer.describe_table(
        table.name,
        await _enforced_type(tx, table.namespace, table.name),
        [revision.document.value for revision in page.revisions],
        is_sample_complete=not page.has_more,
    )


async def _enforced_type(tx: Transaction, namespace: Namespace, name: str) -> Validator | None:
    active = await SchemaTables(tx, namespace).get_active()
    if active is None or not active.definition.schema_validation:
        return None
    table = active.definition.tables.get(name)
    return None if table is None else table.document_type


def _id_finder(tx: Transaction, namespace: Namespace) -> Callable[[str], str | None]:
    names = NamespaceTableNames(tx.metadata, namespace, tx.virtual_tables)

    def find(text: str) -> str | None:
        if len(text) not in _ID_LENGTHS:
            return None
        try:
            return names.table_name(decode_document_id(text).table_number)
        except FenchelError:
            return None

    return find
