"""Creating tables: the `_tables` row, its number, and the rows of its first indexes.

Source: database specification 3.2 and 3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fenchel.database.metadata import Table, TableState, encode_namespace
from fenchel.database.system_tables import (
    FIRST_USER_TABLE_NUMBER,
    INDEXES,
    SYSTEM_TABLES,
    TABLES,
    USER_TABLES_MAX,
    indexes_of_new_table,
)
from fenchel.database.types import Namespace
from fenchel.documents import (
    ALL_KEYS,
    Document,
    InternalId,
    TabletId,
    encode_document_id,
    with_system_fields,
)
from fenchel.errors import bad_request
from fenchel.values import Value, is_identifier

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction


def check_user_table_name(name: str) -> None:
    """Raises: InvalidTableName."""
    if name.startswith("_"):
        raise bad_request(
            "InvalidTableName", f"Invalid table name {name} starts with metadata prefix '_'"
        )
    if not is_identifier(name):
        raise bad_request(
            "InvalidTableName",
            f'Invalid table name: "{name}". Identifiers must start with a letter and can only '
            "contain letters, digits, and underscores.",
        )


def create_table(tx: Transaction, namespace: Namespace, name: str) -> Table:
    """A new active table with its indexes, enabled at once because it is empty.

    Depends on all tables, so that two transactions never give one number twice. Raises:
    TooManyTables.
    """
    tables = tx.metadata.root_table(TABLES)
    tx.record(tables, tx.metadata.by_id_index(tables.tablet_id), ALL_KEYS)
    value = table_row(namespace, name, free_table_number(tx, namespace, name))
    row = insert_system_document(tx, tables, value)
    for index_name, fields in indexes_of_new_table(name).items():
        insert_index(tx, row.id_text, index_name, enabled_index_config(fields))
    return tx.metadata.tables[TabletId(row.internal_id)]


def create_component_tables(tx: Transaction, namespace: Namespace) -> None:
    """The system tables that every component has of its own, as far as they are missing."""
    for table in SYSTEM_TABLES.values():
        if table.is_per_component and tx.find_table(namespace, table.name) is None:
            create_table(tx, namespace, table.name)


def insert_index(tx: Transaction, table_id_text: str, name: str, config: dict[str, Value]) -> None:
    """Add a row to `_index`; writes maintain the index from this commit on."""
    rows = tx.metadata.root_table(INDEXES)
    insert_system_document(tx, rows, index_row(table_id_text, name, config))


def insert_system_document(
    tx: Transaction,
    table: Table,
    value: dict[str, Value],
    internal_id: InternalId | None = None,
) -> Document:
    """Insert a document with these fields, under a new id unless one is given."""
    internal_id = internal_id or tx.new_internal_id()
    id_text = encode_document_id(table.number, internal_id)
    full = with_system_fields(value, id_text=id_text, creation_time=tx.next_creation_time())
    return tx.insert_document(table, internal_id, full)


def table_row(
    namespace: Namespace, name: str, number: int, state: TableState = TableState.ACTIVE
) -> dict[str, Value]:
    """The fields of a table's `_tables` row."""
    value: dict[str, Value] = {"name": name, "number": number, "state": state.value}
    namespace_value = encode_namespace(namespace)
    if namespace_value is not None:
        value["namespace"] = namespace_value
    return value


def index_row(table_id_text: str, name: str, config: dict[str, Value]) -> dict[str, Value]:
    """The fields of an `_index` row."""
    return {"table_id": table_id_text, "descriptor": name, "config": config}


def enabled_index_config(fields: tuple[str, ...]) -> dict[str, Value]:
    """The `config` of a database index over a table that was empty when the index was made."""
    return {"type": "database", "fields": list(fields), "onDiskState": {"type": "Enabled"}}


def backfilling_index_config(fields: tuple[str, ...]) -> dict[str, Value]:
    """The `config` of a database index that does not hold the table's older documents yet."""
    state: dict[str, Value] = {"type": "Backfilling", "backfillState": {"staged": False}}
    return {"type": "database", "fields": list(fields), "onDiskState": state}


def free_table_number(tx: Transaction, namespace: Namespace, name: str) -> int:
    """The system table's own number, or the smallest free one (rows of every state occupy one)."""
    rows = tx.metadata.tables.values()
    used = {table.number for table in rows if table.namespace == namespace}
    system = SYSTEM_TABLES.get(name)
    if system is not None and system.number not in used:
        return system.number
    if sum(table.is_user for table in tx.metadata.by_name.values()) >= USER_TABLES_MAX:
        raise bad_request(
            "TooManyTables", f"A deployment cannot have more than {USER_TABLES_MAX} tables."
        )
    number = FIRST_USER_TABLE_NUMBER
    while number in used:
        number += 1
    return number
