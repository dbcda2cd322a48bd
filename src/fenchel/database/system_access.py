"""System tables for the rooms above: plain reads and writes, without users' rules and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fenchel.database.metadata import Table, TableState
from fenchel.database.system_tables import SYSTEM_TABLES
from fenchel.database.table_creation import create_table, insert_system_document
from fenchel.database.types import Namespace, StoredDocument, passed_until, rest_after
from fenchel.documents import (
    Document,
    Interval,
    after_prefix,
    decode_document_id,
    with_system_fields,
)
from fenchel.errors import internal_error
from fenchel.values import UndefinedType, Value, encode_sort_key

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction

_PAGE_ROWS = 1_000


class SystemTables:
    """The system tables of one namespace. A table that does not exist yet is empty."""

    def __init__(self, tx: Transaction, namespace: Namespace) -> None:
        self._tx = tx
        self._namespace = namespace

    async def get(self, table: str, id_text: str) -> Document | None:
        """The document, or None if the table does not hold it. Raises: InvalidId."""
        stored = await self._load(table, id_text)
        return None if stored is None else stored.document

    async def insert(self, table: str, value: dict[str, Value]) -> str:
        """The id of a new document with these fields; creates the table if it is missing."""
        tx = self._tx
        assert table in SYSTEM_TABLES, table
        found = tx.find_table(self._namespace, table) or create_table(tx, self._namespace, table)
        return insert_system_document(tx, found, value).id_text

    async def replace(self, table: str, id_text: str, value: dict[str, Value]) -> None:
        """Give the document these fields. An equal document is not written again."""
        found, stored = self._table(table), await self._load_existing(table, id_text)
        old = stored.document
        full = with_system_fields(value, id_text=old.id_text, creation_time=old.creation_time)
        new = Document.create(found.tablet_id, found.number, old.internal_id, full)
        if new.value_json != old.value_json:
            self._tx.write_document(found, stored, new, old.internal_id)

    async def delete(self, table: str, id_text: str) -> None:
        """Remove the document, which must exist."""
        found, stored = self._table(table), await self._load_existing(table, id_text)
        self._tx.write_document(found, stored, None, stored.document.internal_id)

    async def query(
        self,
        table: str,
        index: str,
        prefix: Sequence[Value | UndefinedType] = (),
        *,
        order: Literal["asc", "desc"] = "asc",
        limit: int | None = None,
        lower: Value = None,
        upper: Value = None,
    ) -> list[Document]:
        """Documents whose first index fields equal `prefix`, in index order, at most `limit`.

        `lower` and `upper` are inclusive bounds on the next field; None means no bound. Depends on
        what it returns, and on the whole range if that was all.
        """
        found = self._tx.find_table(self._namespace, table)
        if found is None:
            return []
        interval = _interval(prefix, lower, upper)
        return await self.scan(found, index, interval, is_descending=order == "desc", limit=limit)

    async def scan(
        self,
        table: Table,
        index_name: str,
        interval: Interval,
        *,
        is_descending: bool = False,
        limit: int | None = None,
    ) -> list[Document]:
        """As `query`, of a table in whatever state."""
        index = self._tx.find_index(table, index_name)
        assert index is not None, f"{table.name}.{index_name}"
        documents: list[Document] = []
        rest = interval
        while limit is None or len(documents) < limit:
            wanted = _PAGE_ROWS if limit is None else min(limit - len(documents), _PAGE_ROWS)
            page = await self._tx.load_page(
                table, index, rest, is_descending=is_descending, limit=wanted
            )
            documents.extend(revision.document for revision in page.revisions)
            if not page.has_more:
                self._tx.record(table, index, interval)
                return documents
            last_key = page.revisions[-1].key
            self._tx.record(table, index, passed_until(interval, last_key, is_descending))
            rest = rest_after(rest, last_key, is_descending)
        return documents

    async def _load(self, table: str, id_text: str) -> StoredDocument | None:
        document_id = decode_document_id(id_text)
        found = self._tx.find_table(self._namespace, table)
        if found is None or found.number != document_id.table_number:
            return None
        return await self._tx.load_document(found, document_id.internal_id)

    async def _load_existing(self, table: str, id_text: str) -> StoredDocument:
        stored = await self._load(table, id_text)
        if stored is None:
            raise internal_error(f"{table} has no document {id_text}")
        return stored

    def _table(self, name: str) -> Table:
        found = self._tx.find_table(self._namespace, name)
        if found is None:
            raise internal_error(f"no system table {name}")
        return found


async def is_in_any_table(
    tx: Transaction, name: str, index: str, prefix: Sequence[Value | UndefinedType]
) -> bool:
    """Whether a table of that name, of any component, holds such a document: active, or hidden
    because an import fills it. Depends on what it saw.
    """
    for table in tx.metadata.tables.values():
        if table.name == name and table.state is not TableState.DELETING:
            tables = SystemTables(tx, table.namespace)
            if await tables.scan(table, index, _interval(prefix, None, None), limit=1):
                return True
    return False


def _interval(prefix: Sequence[Value | UndefinedType], lower: Value, upper: Value) -> Interval:
    key = b"".join(map(encode_sort_key, prefix))
    start = key if lower is None else key + encode_sort_key(lower)
    end = after_prefix(key if upper is None else key + encode_sort_key(upper))
    return Interval(start, end)
