"""What only an admin does to whole tables: fill a hidden one, put it in place of another, delete.

Replacing a table changes metadata only, in one transaction: documents belong to the tablet, and the
name leads to another tablet afterwards. Source: database specification 3.3 and 10.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from fenchel.database.index_tables import encode_index_state
from fenchel.database.metadata import Index, IndexKind, IndexState, Table, TableState
from fenchel.database.schema_checks import fail_schema
from fenchel.database.schema_registry import Schema
from fenchel.database.staged_types import fail_references
from fenchel.database.system_tables import (
    INDEXES,
    TABLES,
    indexes_of_new_table,
)
from fenchel.database.table_creation import (
    enabled_index_config,
    free_table_number,
    insert_index,
    insert_system_document,
    table_row,
)
from fenchel.database.transaction import Transaction
from fenchel.database.types import ROOT, Namespace, StoredDocument
from fenchel.documents import ALL_KEYS, TabletId, Timestamp
from fenchel.errors import bad_request
from fenchel.values import Value

# Documents of a table that `empty` deletes instead of replacing the table.
DELETED_ONE_BY_ONE_MAX = 200


class TableAdmin:
    """The `_tables` rows of one namespace's user tables, through a transaction."""

    def __init__(self, tx: Transaction, namespace: Namespace = ROOT) -> None:
        self._tx = tx
        self._namespace = namespace
        self._rows = tx.system(ROOT)

    def list_namespaces(self) -> list[Namespace]:
        """All that have active tables; depends on all tables."""
        self._record_all(TABLES)
        return sorted({namespace for namespace, _ in self._tx.metadata.by_name})

    def list_user_tables(self) -> list[Table]:
        """The active ones, ascending by number; depends on all tables."""
        self._record_all(TABLES)
        tables = self._tx.metadata.by_name.values()
        own = [t for t in tables if t.is_user and t.namespace == self._namespace]
        return sorted(own, key=lambda table: table.number)

    def find(self, name: str) -> Table | None:
        """The active table of that name; depends on it."""
        return self._tx.find_table(self._namespace, name)

    def find_by_number(self, number: int) -> Table | None:
        """The active table, of the user or of the system, that ids with this number belong to."""
        return self._tx.find_table_by_number(self._namespace, number)

    def find_hidden(self, tablet_id: TabletId) -> Table | None:
        """The hidden table; None if it has been activated or discarded. Depends on all tables."""
        self._record_all(TABLES)
        table = self._tx.metadata.tables.get(tablet_id)
        return table if table is not None and table.state is TableState.HIDDEN else None

    def free_number(self, name: str) -> int:
        """A number that no table of any state has. Raises: TooManyTables."""
        self._record_all(TABLES)
        return free_table_number(self._tx, self._namespace, name)

    async def create_hidden(self, name: str, number: int) -> Table:
        """An empty table that no name and no id leads to, with the indexes of the active table.

        The number may be that of an active table which will be gone when this one is activated.
        No index needs a backfill because the table is empty.
        """
        self._record_all(TABLES)
        self._record_all(INDEXES)
        tables = self._tx.metadata.root_table(TABLES)
        row = table_row(self._namespace, name, number, TableState.HIDDEN)
        id_text = insert_system_document(self._tx, tables, row).id_text
        active = self.find(name)
        if active is None:
            for index_name, fields in indexes_of_new_table(name).items():
                insert_index(self._tx, id_text, index_name, enabled_index_config(fields))
        else:
            for index in self._tx.metadata.indexes[active.tablet_id]:
                insert_index(self._tx, id_text, index.name, await self._config_of_copy(index))
        return next(t for t in self._tx.metadata.tables.values() if t.id_text == id_text)

    async def activate(self, hidden: Sequence[Table]) -> None:
        """Hidden to active, all at once; active tables of the same names become deleted ones.

        The caller has made sure that no table which stays active has one of their numbers.
        """
        self._record_all(TABLES)
        for table in hidden:
            assert table.state is TableState.HIDDEN
            replaced = self.find(table.name)
            if replaced is not None:
                await self.discard(replaced)
        for table in hidden:
            assert (self._namespace, table.number) not in self._tx.metadata.by_number
            await self._set_state(table, TableState.ACTIVE)

    async def discard(self, table: Table) -> None:
        """Make the table's documents unreachable at once; its indexes are dropped.

        The retention worker removes what is left of it. No schema is consulted.
        """
        self._record_all(TABLES)
        await self._set_state(table, TableState.DELETING)
        await fail_references(self._tx, self._namespace, table.name)
        for index in self._tx.metadata.indexes.get(table.tablet_id, ()):
            await self._rows.delete(INDEXES, index.id_text)

    async def empty(self, table: Table) -> None:
        """Remove the documents of an active table, whose name, number and indexes stay.

        A few go one by one, which leaves nothing behind in the metadata; many with the table that
        holds them, at a cost that does not depend on their number.
        """
        count = self._tx.document_count(table)
        if count > DELETED_ONE_BY_ONE_MAX:
            await self.activate([await self.create_hidden(table.name, table.number)])
        elif count > 0:
            by_id = self._tx.metadata.by_id_index(table.tablet_id)
            page = await self._tx.load_page(
                table, by_id, ALL_KEYS, is_descending=False, limit=count
            )
            for revision in page.revisions:
                stored = StoredDocument(Timestamp(revision.ts), revision.document)
                self._tx.write_document(table, stored, None, revision.document.internal_id)

    async def delete(self, name: str) -> bool:
        """`discard` the table of that name, if there is one, and whether there was.

        Raises: SchemaEnforcementError if the active schema needs the table. A pending schema that
        needs it fails.
        """
        table = self.find(name)
        if table is None:
            return False
        schemas = self._tx.metadata.schemas.of(self._namespace)
        if schemas.active is not None:
            problem = _schema_problem(schemas.active, name)
            if problem is not None:
                raise bad_request("SchemaEnforcementError", problem)
        if schemas.pending is not None:
            problem = _schema_problem(schemas.pending, name)
            if problem is not None:
                await fail_schema(self._tx, self._namespace, schemas.pending, name, problem)
        await self.discard(table)
        return True

    async def _set_state(self, table: Table, state: TableState) -> None:
        row = table_row(self._namespace, table.name, table.number, state)
        await self._rows.replace(TABLES, table.id_text, row)

    async def _config_of_copy(self, index: Index) -> dict[str, Value]:
        """The `config` of this index over an empty table: what waits for a backfill has it."""
        document = await self._rows.get(INDEXES, index.id_text)
        assert document is not None
        config = dict(cast("dict[str, Value]", document.value["config"]))
        if index.kind is IndexKind.DATABASE and index.state is IndexState.BACKFILLING:
            config["onDiskState"] = encode_index_state(
                index.kind, IndexState.BACKFILLED, index.is_staged
            )
        return config

    def _record_all(self, name: str) -> None:
        """Depend on every row: two such changes at once must not both succeed."""
        table = self._tx.metadata.root_table(name)
        self._tx.record(table, self._tx.metadata.by_id_index(table.tablet_id), ALL_KEYS)


def _schema_problem(schema: Schema, name: str) -> str | None:
    """Why the schema needs the table, if it does."""
    definition = schema.definition
    if name in definition.tables:
        return f'Failed to delete table "{name}" because it appears in the schema'
    for table in definition.tables.values():
        if name in table.referenced_tables:
            return (
                f'Failed to delete table "{name}" because `v.id("{name}")` appears in the schema '
                f'of table "{table.name}"'
            )
    return None
