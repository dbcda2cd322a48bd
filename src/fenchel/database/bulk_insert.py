"""Inserting documents that bring their ids and creation times, as imports do.

They obey the rules of every document, but count nothing against the limits of a function. Source:
database specification 10.5.
"""

from __future__ import annotations

from collections.abc import Iterable

from fenchel.database.metadata import Table, TableState
from fenchel.database.schema_checks import NamespaceTableNames, check_against_schemas
from fenchel.database.transaction import Transaction
from fenchel.database.types import ROOT, Namespace
from fenchel.database.virtual_tables import find_by_physical_name
from fenchel.definitions import TableNames
from fenchel.documents import (
    CREATION_TIME_FIELD,
    ID_FIELD,
    InternalId,
    check_document_value,
    decode_document_id,
    encode_document_id,
)
from fenchel.errors import FenchelError, bad_request
from fenchel.values import Value


class FutureTableNames:
    """`TableNames` as they will be once the hidden tables are active and others are gone."""

    def __init__(
        self,
        tx: Transaction,
        *,
        hidden: Iterable[Table],
        gone: Iterable[str],
        namespace: Namespace = ROOT,
    ) -> None:
        """`gone` names active tables that will be replaced or deleted; `hidden` are of the
        namespace.
        """
        self._hidden = {table.number: self._public_name(tx, table) for table in hidden}
        self._gone = frozenset(gone) | frozenset(self._hidden.values())
        self._present = NamespaceTableNames(tx.metadata, namespace, tx.virtual_tables)

    @staticmethod
    def _public_name(tx: Transaction, table: Table) -> str:
        view = find_by_physical_name(tx.virtual_tables, table.name)
        return table.name if view is None else view.name

    def table_name(self, table_number: int) -> str | None:
        hidden_name = self._hidden.get(table_number)
        if hidden_name is not None:
            return hidden_name
        name = self._present.table_name(table_number)
        return None if name in self._gone else name


class BulkInserter:
    """Writes to one table, active or hidden, through one transaction.

    A hidden table has no other writer, so documents that come in the order of their ids are new
    without a look. `greatest_id` is the greatest one that came with a document so far.
    """

    def __init__(
        self, tx: Transaction, table: Table, names: TableNames, *, greatest_id: str = ""
    ) -> None:
        """`greatest_id` is that of the former batches."""
        self._tx = tx
        self._table = table
        self._names = names
        self._is_sole_writer = table.state is TableState.HIDDEN
        self.greatest_id = greatest_id

    async def insert(self, value: dict[str, Value]) -> int:
        """Insert a document and give its size in bytes. What it lacks of system fields is drawn.

        Raises: ImportConflict if its id belongs to another table number, DuplicateId if it came
        before, DocumentExists if the table has it already, DocumentDeleted if it had it, InvalidId,
        the document rules of database specification 3.4, SchemaEnforcementError.
        """
        internal_id = await self._internal_id(value.get(ID_FIELD))
        full = {
            CREATION_TIME_FIELD: self._tx.next_creation_time(),
            **value,
            ID_FIELD: encode_document_id(self._table.number, internal_id),
        }
        examined = check_document_value(full)
        if self._table.is_user:
            await check_against_schemas(self._tx, self._table, full, self._names)
        self._tx.insert_document(self._table, internal_id, full, examined=examined)
        return examined.size_bytes

    async def _internal_id(self, id_value: Value) -> InternalId:
        if id_value is None:
            return self._tx.new_internal_id()
        if not isinstance(id_value, str):
            raise bad_request("InvalidId", "The '_id' field must be an Id")
        try:
            document_id = decode_document_id(id_value)
        except FenchelError as error:
            raise bad_request(
                "InvalidId", f"_id {id_value!r} is not a document ID: {error.message}"
            ) from error
        if document_id.table_number != self._table.number:
            raise bad_request(
                "ImportConflict",
                f"_id {id_value} cannot be imported into '{self._table.name}' because it came from "
                "a different deployment and conflict with preexisting tables in this deployment. "
                "Import without the '_id' field, or into an empty deployment.",
            )
        if not self._is_sole_writer or id_value <= self.greatest_id:
            await self._check_absent(id_value, document_id.internal_id)
        self.greatest_id = max(id_value, self.greatest_id)
        return document_id.internal_id

    async def _check_absent(self, id_text: str, internal_id: InternalId) -> None:
        if await self._tx.load_document(self._table, internal_id) is None:
            await self._check_not_deleted(id_text, internal_id)
            return
        is_own = self._tx.writes.get(self._table.tablet_id, internal_id) is not None
        if self._is_sole_writer or is_own:
            raise bad_request(
                "DuplicateId", f"Duplicate _id {id_text} in table '{self._table.name}'"
            )
        raise bad_request(
            "DocumentExists",
            f"Cannot create document with _id {id_text} that already exists. Try to update it with "
            "`db.patch` or `db.replace`.",
        )

    async def _check_not_deleted(self, id_text: str, internal_id: InternalId) -> None:
        """An id stands for one document: who has kept it must not find another one there."""
        if not self._is_sole_writer and await self._tx.was_deleted(self._table, internal_id):
            raise bad_request(
                "DocumentDeleted",
                f"Cannot recreate document with _id {id_text} that was deleted. Try to insert it "
                "without an _id or insert into another table.",
            )
