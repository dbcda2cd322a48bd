"""The first pass over an uploaded file: every row is parsed, so that its mistakes show early, and
counted for the question whether to go on.
"""

from __future__ import annotations

from collections.abc import Sequence

from fenchel.application.imports.change_summary import TableChange
from fenchel.application.imports.plan import check_empty, check_number, physical_name
from fenchel.application.imports.source import SourceTable
from fenchel.application.imports.text_rows import ImportedRow
from fenchel.database import TableAdmin, Transaction
from fenchel.documents import ID_FIELD, decode_document_id
from fenchel.errors import FenchelError
from fenchel.model import ImportMode, TableCheckpoint


async def analyze_source(tables: Sequence[SourceTable]) -> list[TableCheckpoint]:
    """Each table with its rows and the number it asks for. Raises: the errors of the formats."""
    checkpoints = []
    for table in tables:
        row_count = 0
        number = None if table.number is None else check_number(table.name, table.number)
        async for batch in table.load_batches():
            if row_count == 0 and number is None:
                number = _number_of_first_id(batch[0])
            row_count += len(batch)
        checkpoints.append(
            TableCheckpoint(
                component=table.component, name=table.name, number=number, row_count=row_count
            )
        )
    return checkpoints


async def describe_changes(
    tx: Transaction, checkpoints: Sequence[TableCheckpoint], mode: ImportMode
) -> list[TableChange]:
    """What would happen to each table. Raises: TableExists."""
    created = {(c.component, c.name): c.row_count for c in checkpoints}
    if mode == "replaceAll":
        for namespace in TableAdmin(tx).list_namespaces():
            for table in TableAdmin(tx, namespace).list_user_tables():
                created.setdefault((namespace, table.name), 0)
    changes = []
    for (component, name), row_count in created.items():
        tables = TableAdmin(tx, component)
        if mode == "requireEmpty":
            await check_empty(tx, tables, name)
        active = tables.find(physical_name(name))
        existing = 0 if active is None else tx.document_count(active)
        deleted = existing if mode in ("replace", "replaceAll") else 0
        changes.append(
            TableChange(
                component=component,
                name=name,
                created=row_count,
                deleted=deleted,
                existing=existing,
            )
        )
    return changes


def _number_of_first_id(row: ImportedRow) -> int | None:
    """None if there is no id, or a wrong one: the error comes when the row is inserted."""
    id_text = row.value.get(ID_FIELD)
    if not isinstance(id_text, str):
        return None
    try:
        return decode_document_id(id_text).table_number
    except FenchelError:
        return None
