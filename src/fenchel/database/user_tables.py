"""The tables of one component as its functions see them: every rule, limit and error text.

Source: execution specification 2.4 to 2.7, database specification 3.4 and 3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fenchel.database.metadata import Table
from fenchel.database.pagination import check_page_request, load_query_page
from fenchel.database.pagination_types import PageRequest, PageResult
from fenchel.database.query_plan import Query, compile_query, decode_query
from fenchel.database.query_stream import QueryStream
from fenchel.database.schema_checks import check_against_schemas
from fenchel.database.system_tables import is_system_name
from fenchel.database.table_creation import check_user_table_name, create_table
from fenchel.database.types import Namespace, StoredDocument
from fenchel.database.virtual_tables import VirtualTable, find_by_physical_name
from fenchel.documents import (
    CREATION_TIME_FIELD,
    ID_FIELD,
    Document,
    DocumentId,
    check_document_value,
    decode_document_id,
    encode_document_id,
    with_system_fields,
)
from fenchel.errors import FenchelError, bad_request
from fenchel.values import UNDEFINED, UndefinedType, Value

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction


class UserTables:
    """Reads and writes of one namespace through a transaction; holds no state of its own."""

    def __init__(self, tx: Transaction, namespace: Namespace) -> None:
        self._tx = tx
        self._namespace = namespace

    async def get(
        self, id_text: str, *, table: str | None = None, is_system: bool = False
    ) -> Document | None:
        """The document, or None if it or its table does not exist.

        Raises: InvalidArgument if the id does not decode or belongs to another table than `table`;
        SystemTableError; the read limits.
        """
        method = "db.system.get" if is_system else "db.get"
        document_id = _decode_id(id_text, method)
        found = self._tx.find_table_by_number(self._namespace, document_id.table_number)
        if found is None:
            return None
        view = self._check_kind(found, is_system)
        _check_table_name(found.name if view is None else view.name, table, method)
        if not found.is_user and view is None:
            return None
        stored = await self._tx.load_document(found, document_id.internal_id)
        if stored is None:
            self._tx.usage.record_read(found.tablet_id, 0, 0)
            return None
        self._tx.usage.record_read(found.tablet_id, 1, stored.document.size_bytes)
        return await self._present(found, view, stored.document)

    async def insert(self, table: str, value: dict[str, Value]) -> str:
        """The id of a new document; the table is created when it is missing.

        Raises: InvalidTableName, ReadOnlyTable, the document rules of database specification 3.4,
        SchemaEnforcementError, TooManyTables, the write limits.
        """
        tx = self._tx
        found = self._find_writable_table(table)
        internal_id = tx.new_internal_id()
        id_text = encode_document_id(found.number, internal_id)
        full = with_system_fields(value, id_text=id_text, creation_time=tx.next_creation_time())
        examined = check_document_value(full)
        await check_against_schemas(tx, found, full)
        document = tx.insert_document(found, internal_id, full, examined=examined)
        tx.usage.record_write(found.tablet_id, document.size_bytes)
        tx.usage.record_extremes(id_text, document.size_bytes, examined.nesting)
        return id_text

    async def patch(
        self,
        id_text: str,
        fields: dict[str, Value | UndefinedType],
        *,
        table: str | None = None,
    ) -> Document:
        """The document with these top-level fields replaced; those that are UNDEFINED are removed.

        Raises: NonexistentDocument, InvalidArgument, SystemTableError, and as `insert`.
        """
        found, stored = await self._load_for_write(id_text, table, "db.patch", "Update")
        merged = {**stored.document.value}
        for name, value in fields.items():
            if value is not UNDEFINED:
                merged[name] = value
            elif name not in (ID_FIELD, CREATION_TIME_FIELD):
                merged.pop(name, None)
        return await self._update(found, stored, merged)

    async def replace(
        self, id_text: str, value: dict[str, Value], *, table: str | None = None
    ) -> Document:
        """The document with all its fields replaced. Raises: as `patch`."""
        found, stored = await self._load_for_write(id_text, table, "db.replace", "Replace")
        return await self._update(found, stored, value)

    async def delete(self, id_text: str, *, table: str | None = None) -> Document:
        """The document as it was. Raises: NonexistentDocument, InvalidArgument,
        SystemTableError."""
        found, stored = await self._load_for_write(id_text, table, "db.delete", "Delete")
        self._tx.usage.record_write(found.tablet_id, 0)
        self._tx.write_document(found, stored, None, stored.document.internal_id)
        return stored.document

    async def count(self, table: str) -> int:
        """Documents in the table; depends on all of them and counts none as read."""
        found = self._find_visible_table(table, is_system=False)
        return 0 if found is None else self._tx.document_count(found)

    def normalize_id(self, table: str, id_text: str, *, is_system: bool = False) -> str | None:
        """`id_text` if it is an id of that table, else None (database specification 1.6)."""
        found = self._find_visible_table(table, is_system=is_system)
        if found is None:
            return None
        try:
            document_id = decode_document_id(id_text)
        except FenchelError:
            return None
        return id_text if document_id.table_number == found.number else None

    def open_stream(self, query: Query | Any) -> QueryStream:
        """A stream over a query or its parsed AST. Raises: as `decode_query`, `compile_query`."""
        query = query if isinstance(query, Query) else decode_query(query)
        plan = compile_query(self._tx, query, self._find_queryable_table)
        return QueryStream(self._tx, plan, self._view_of(plan.table))

    async def paginate(self, request: PageRequest) -> PageResult:
        """One page. Raises: as `open_stream`, and the pagination errors of specification 2.7."""
        check_page_request(request, self._tx.usage.limits.page_size_max)
        plan = compile_query(self._tx, decode_query(request.query), self._find_queryable_table)
        return await load_query_page(self._tx, plan, self._view_of(plan.table), request)

    async def _update(
        self, table: Table, stored: StoredDocument, value: dict[str, Value]
    ) -> Document:
        """Write the new value, unless it equals the old one."""
        old = stored.document
        full = with_system_fields(value, id_text=old.id_text, creation_time=old.creation_time)
        examined = check_document_value(full)
        await check_against_schemas(self._tx, table, full)
        new = Document.create(
            table.tablet_id, table.number, old.internal_id, full, examined=examined
        )
        if new.value_json == old.value_json:
            return old
        self._tx.usage.record_write(table.tablet_id, new.size_bytes)
        self._tx.usage.record_extremes(new.id_text, new.size_bytes, examined.nesting)
        self._tx.write_document(table, stored, new, old.internal_id)
        return new

    async def _load_for_write(
        self, id_text: str, table: str | None, method: str, verb: str
    ) -> tuple[Table, StoredDocument]:
        document_id = _decode_id(id_text, method)
        found = self._tx.find_table_by_number(self._namespace, document_id.table_number)
        stored = None
        if found is not None:
            self._check_kind(found, is_system=False)
            _check_table_name(found.name, table, method)
            stored = await self._tx.load_document(found, document_id.internal_id)
        if found is None or stored is None:
            raise bad_request("NonexistentDocument", f"{verb} on nonexistent document ID {id_text}")
        self._tx.usage.record_read(found.tablet_id, 1, stored.document.size_bytes)
        return found, stored

    def _find_writable_table(self, name: str) -> Table:
        if name in self._tx.virtual_tables:
            raise bad_request("ReadOnlyTable", f"{name} is a read-only table")
        if not is_system_name(name):
            found = self._tx.find_table(self._namespace, name)
            if found is not None:
                return found
        check_user_table_name(name)
        return create_table(self._tx, self._namespace, name)

    def _find_queryable_table(self, name: str) -> Table | None:
        return self._find_visible_table(name, is_system=is_system_name(name))

    def _find_visible_table(self, name: str, *, is_system: bool) -> Table | None:
        """The physical table behind a name that user code may use."""
        if is_system_name(name) != is_system:
            return None
        view = self._tx.virtual_tables.get(name)
        if is_system and view is None:
            return None
        return self._tx.find_table(self._namespace, name if view is None else view.physical_name)

    def _view_of(self, table: Table | None) -> VirtualTable | None:
        if table is None or table.is_user:
            return None
        return find_by_physical_name(self._tx.virtual_tables, table.name)

    def _check_kind(self, table: Table, is_system: bool) -> VirtualTable | None:
        """Raises SystemTableError unless the table is of the wanted kind."""
        if table.is_user and is_system:
            raise bad_request("SystemTableError", "User tables cannot be accessed with db.system.")
        if not table.is_user and not is_system:
            raise bad_request(
                "SystemTableError", "System tables can only be accessed with db.system."
            )
        return self._view_of(table)

    async def _present(
        self, table: Table, view: VirtualTable | None, document: Document
    ) -> Document:
        if view is None:
            return document
        return await view.present(self._tx.system(self._namespace), table.number, document)


def _decode_id(id_text: str, method: str) -> DocumentId:
    try:
        return decode_document_id(id_text)
    except FenchelError as error:
        raise bad_request(
            "InvalidArgument", f"Invalid argument `id` for `{method}`: {error.message}"
        ) from error


def _check_table_name(found: str, expected: str | None, method: str) -> None:
    if expected is not None and expected != found:
        raise bad_request(
            "InvalidArgument",
            f'Invalid argument `id` for `{method}`: expected to be an Id<"{expected}">, '
            f'got Id<"{found}"> instead.',
        )
