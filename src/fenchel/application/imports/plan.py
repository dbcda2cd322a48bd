"""Which table gets which number, and what an import does to the tables that exist.

Source: database specification 10.5, steps 3, 4 and 7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fenchel.application.archived_files import STORAGE
from fenchel.application.imports import errors
from fenchel.database import (
    ROOT,
    Namespace,
    SchemaTables,
    Table,
    TableAdmin,
    Transaction,
    create_component_tables,
)
from fenchel.documents import TabletId
from fenchel.errors import bad_request
from fenchel.model import (
    FILE_STORAGE_TABLE,
    ImportMode,
    TableCheckpoint,
    create_unmounted_components,
    parent_paths,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A table that will be there when the import is done. `appended_to`: it stays as it is."""

    checkpoint: TableCheckpoint
    number: int
    appended_to: Table | None


async def create_tables(
    tx: Transaction, checkpoints: Sequence[TableCheckpoint], mode: ImportMode
) -> list[TableCheckpoint]:
    """The checkpoints with the tables to write to: hidden ones, or the active ones for `append`.

    Components that are missing are made, unmounted. With `replaceAll` the other tables of the
    schemas are added, as empty ones. Raises: TableExists, InvalidId for two tables with one number,
    TableConflict, TooManyTables.
    """
    created = []
    for component in _affected_components(tx, checkpoints, mode):
        if component != ROOT:
            await create_unmounted_components(tx, component)
            for path in parent_paths(component):
                create_component_tables(tx, path)
        own = _of_component(checkpoints, component)
        created += await _create_component_tables(tx, component, own, mode)
    return created


async def _create_component_tables(
    tx: Transaction, component: Namespace, checkpoints: Sequence[TableCheckpoint], mode: ImportMode
) -> list[TableCheckpoint]:
    tables = TableAdmin(tx, component)
    if mode == "requireEmpty":
        for checkpoint in checkpoints:
            await check_empty(tx, tables, checkpoint.name)
    if mode == "replaceAll":
        checkpoints = [*checkpoints, *await _emptied_tables(tx, tables, component, checkpoints)]
    targets = _choose_numbers(tables, checkpoints, mode)
    created = []
    for target in targets:
        table = target.appended_to
        if table is None:
            name = physical_name(target.checkpoint.name)
            table = await tables.create_hidden(name, target.number)
        created.append(
            msgspec.structs.replace(
                target.checkpoint,
                number=target.number,
                tablet_id=table.tablet_id,
                is_hidden=target.appended_to is None,
            )
        )
    return created


async def activate_tables(
    tx: Transaction, checkpoints: Sequence[TableCheckpoint], mode: ImportMode
) -> None:
    """Put the filled tables in place of those of the same names, all at once.

    `replaceAll` deletes all others, but not the files of users. Raises: TableExists, TableConflict,
    ImportForeignKey.
    """
    for component in _affected_components(tx, checkpoints, mode):
        own = _of_component(checkpoints, component)
        await _activate_component_tables(tx, component, own, mode)


async def _activate_component_tables(
    tx: Transaction, component: Namespace, checkpoints: Sequence[TableCheckpoint], mode: ImportMode
) -> None:
    tables = TableAdmin(tx, component)
    hidden = []
    for checkpoint in checkpoints:
        if not checkpoint.is_hidden:
            continue
        assert checkpoint.tablet_id is not None
        table = tables.find_hidden(TabletId(checkpoint.tablet_id))
        assert table is not None, "a hidden table goes only with its import"
        if mode == "requireEmpty":
            await check_empty(tx, tables, checkpoint.name)
        hidden.append(table)
    await _check_references(tx, tables, component, hidden, mode)
    names = {table.name for table in hidden}
    survivors = [table for table in tables.list_user_tables() if table.name not in names]
    if mode == "replaceAll":
        for table in survivors:
            await tables.discard(table)
        survivors = []
    _check_survivors({table.number: table.name for table in hidden}, survivors)
    await tables.activate(hidden)


async def check_empty(tx: Transaction, tables: TableAdmin, name: str) -> None:
    """Raises: TableExists. Depends on the table's being empty."""
    table = tables.find(physical_name(name))
    if table is not None and tx.document_count(table) > 0:
        raise errors.table_exists(name)


def physical_name(name: str) -> str:
    """The table that an imported one fills."""
    return FILE_STORAGE_TABLE if name == STORAGE else name


async def schema_digest(tx: Transaction, checkpoints: Sequence[TableCheckpoint]) -> bytes:
    """Equal as long as nobody pushes another schema to the app or a component with a table of the
    import.
    """
    texts = []
    for component in sorted({checkpoint.component for checkpoint in checkpoints}):
        schemas = SchemaTables(tx, component)
        active, pending = await schemas.get_active(), await schemas.get_pending()
        texts += [None if schema is None else schema.schema_json for schema in (active, pending)]
    return hashlib.sha256(msgspec.json.encode(texts)).digest()


def _affected_components(
    tx: Transaction, checkpoints: Sequence[TableCheckpoint], mode: ImportMode
) -> list[Namespace]:
    affected = {checkpoint.component for checkpoint in checkpoints}
    if mode == "replaceAll":
        affected.update(TableAdmin(tx).list_namespaces())
    return sorted(affected)


def _of_component(
    checkpoints: Sequence[TableCheckpoint], component: Namespace
) -> list[TableCheckpoint]:
    return [checkpoint for checkpoint in checkpoints if checkpoint.component == component]


async def _emptied_tables(
    tx: Transaction,
    tables: TableAdmin,
    component: Namespace,
    checkpoints: Sequence[TableCheckpoint],
) -> list[TableCheckpoint]:
    schema = await SchemaTables(tx, component).get_active()
    imported = {checkpoint.name for checkpoint in checkpoints}
    names = () if schema is None else schema.definition.tables
    return [
        TableCheckpoint(component=component, name=name, number=None, row_count=0)
        for name in names
        if name not in imported and tables.find(name) is not None
    ]


def _choose_numbers(
    tables: TableAdmin, checkpoints: Sequence[TableCheckpoint], mode: ImportMode
) -> list[_Target]:
    """What the file says first, then what the tables of the same names have, then free ones."""
    names: dict[int, str] = {}
    targets: list[_Target] = []
    waiting: list[TableCheckpoint] = []
    for checkpoint in checkpoints:
        active = tables.find(physical_name(checkpoint.name)) if mode == "append" else None
        number = checkpoint.number if active is None else active.number
        if number is None:
            waiting.append(checkpoint)
            continue
        if number in names:
            raise errors.number_conflict(names[number], checkpoint.name, number)
        names[number] = checkpoint.name
        targets.append(_Target(checkpoint=checkpoint, number=number, appended_to=active))
    for checkpoint in waiting:
        physical = physical_name(checkpoint.name)
        active = tables.find(physical)
        number = tables.free_number(physical) if active is None else active.number
        while number in names:
            number = max(max(names) + 1, tables.free_number(physical))
        names[number] = checkpoint.name
        targets.append(_Target(checkpoint=checkpoint, number=number, appended_to=None))
    _check_system_numbers(tables, names)
    if mode != "replaceAll":
        imported = set(names.values())
        survivors = [table for table in tables.list_user_tables() if table.name not in imported]
        _check_survivors(names, survivors)
    return targets


def _check_system_numbers(tables: TableAdmin, names: dict[int, str]) -> None:
    for number, name in names.items():
        table = tables.find_by_number(number)
        if table is not None and not table.is_user and table.name != physical_name(name):
            raise errors.table_conflict(name, table.name)


def _check_survivors(names: dict[int, str], survivors: Sequence[Table]) -> None:
    """Raises: TableConflict if a table that stays has a number of an imported one."""
    for table in survivors:
        if table.number in names:
            raise errors.table_conflict(names[table.number], table.name)


async def _check_references(
    tx: Transaction,
    tables: TableAdmin,
    component: Namespace,
    hidden: Sequence[Table],
    mode: ImportMode,
) -> None:
    """Raises: ImportForeignKey if ids in a table that stays would lead nowhere."""
    schema = await SchemaTables(tx, component).get_active()
    if schema is None or mode == "replaceAll":
        return
    changed = set()
    for table in hidden:
        active = tables.find(table.name)
        if active is not None and active.number != table.number:
            changed.add(table.name)
    imported = {table.name for table in hidden}
    for definition in schema.definition.tables.values():
        referenced = sorted(changed & definition.referenced_tables)
        if definition.name in imported or not referenced:
            continue
        referencing = tables.find(definition.name)
        if referencing is not None and tx.document_count(referencing) > 0:
            raise errors.foreign_key(referenced[0], definition.name)


def check_number(name: str, number: int) -> int:
    """A number that a user's table may have. Raises: InvalidId."""
    if not 0 < number < 1 << 32:
        raise bad_request("InvalidId", f"table `{name}` has the invalid number {number}")
    return number
