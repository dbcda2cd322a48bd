"""Checking written documents: against the active schema, which refuses, the pending one, which
fails, and what both of them stage.

Source: database specification 5.4 and 5.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel.database.metadata import Metadata, Table
from fenchel.database.schema_registry import Schema, SchemaState
from fenchel.database.staged_types import StagedTypes
from fenchel.database.system_tables import SCHEMAS
from fenchel.database.types import Namespace
from fenchel.database.virtual_tables import VirtualTables, find_by_physical_name
from fenchel.definitions import TableNames
from fenchel.errors import bad_request
from fenchel.values import Value

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction


class NamespaceTableNames:
    """Names by table number for id validators: `TableNames` of one namespace."""

    def __init__(
        self, metadata: Metadata, namespace: Namespace, virtual_tables: VirtualTables
    ) -> None:
        self._metadata = metadata
        self._namespace = namespace
        self._virtual_tables = virtual_tables

    def table_name(self, table_number: int) -> str | None:
        table = self._metadata.by_number.get((self._namespace, table_number))
        if table is None:
            return None
        view = find_by_physical_name(self._virtual_tables, table.name)
        return table.name if view is None else view.name


async def check_against_schemas(
    tx: Transaction, table: Table, value: dict[str, Value], names: TableNames | None = None
) -> None:
    """Refuse what the active schema refuses; mark the pending schema failed if it would refuse.

    `names` are the tables that ids in the value belong to; the namespace's own unless given.
    Raises: SchemaEnforcementError.
    """
    schemas = tx.metadata.schemas.of(table.namespace)
    if schemas.active is None and schemas.pending is None:
        return
    if names is None:
        names = NamespaceTableNames(tx.metadata, table.namespace, tx.virtual_tables)
    if schemas.active is not None:
        detail = schemas.active.definition.check_document(table.name, value, names)
        if detail is not None:
            raise bad_request(
                "SchemaEnforcementError",
                f'Failed to insert or update a document in table "{table.name}" because it does '
                f"not match the schema: {detail}",
            )
    if schemas.pending is not None:
        detail = schemas.pending.definition.check_document(table.name, value, names)
        if detail is not None:
            message = f'New document in table "{table.name}" does not match the schema: {detail}'
            await fail_schema(tx, table.namespace, schemas.pending, table.name, message)
    for schema in (schemas.active, schemas.pending):
        if schema is not None:
            await _check_staged(tx, schema, table, value, names)


async def _check_staged(
    tx: Transaction, schema: Schema, table: Table, value: dict[str, Value], names: TableNames
) -> None:
    """Whatever a schema stages refuses nothing, but is no longer what all documents are."""
    definition = schema.definition.tables.get(table.name)
    if definition is None or definition.staged_type is None:
        return
    detail = definition.check_staged(value, names)
    if detail is not None:
        message = f'New document in table "{table.name}" does not match the schema: {detail}'
        staged = StagedTypes(tx, table.namespace)
        await staged.mark_failed(schema.id_text, table.name, message)


async def fail_schema(
    tx: Transaction, namespace: Namespace, schema: Schema, table_name: str, message: str
) -> None:
    """Record why the schema cannot become active."""
    state: dict[str, Value] = {
        "state": SchemaState.FAILED.value,
        "error": message,
        "tableName": table_name,
    }
    await tx.system(namespace).replace(
        SCHEMAS, schema.id_text, {"state": state, "schema": schema.schema_json}
    )
