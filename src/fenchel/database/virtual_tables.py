"""Read-only views of system tables that user functions may query: `_storage`,
`_scheduled_functions`.

The rows are known in the rooms above, so they bring the conversion; this room only applies it.
Source: execution specification 6.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fenchel.documents import Document, with_system_fields
from fenchel.values import Value

if TYPE_CHECKING:
    from fenchel.database.system_access import SystemTables


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualTable:
    """`convert` gives the user's fields, without system fields, of one physical document."""

    name: str
    physical_name: str
    convert: Callable[[Document, SystemTables], Awaitable[dict[str, Value]]]

    async def present(
        self, tables: SystemTables, table_number: int, document: Document
    ) -> Document:
        """The user's view of a physical document: the same id, creation time and table number."""
        value = await self.convert(document, tables)
        full = with_system_fields(
            value, id_text=document.id_text, creation_time=document.creation_time
        )
        return Document.create(document.tablet_id, table_number, document.internal_id, full)


VirtualTables = Mapping[str, VirtualTable]


def find_by_physical_name(tables: VirtualTables, physical_name: str) -> VirtualTable | None:
    """The view over a system table, if users may see it."""
    for table in tables.values():
        if table.physical_name == physical_name:
            return table
    return None
