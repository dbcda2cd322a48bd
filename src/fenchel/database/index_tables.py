"""Indexes of a namespace through a push: the difference to a schema, and both steps that apply it.

Source: database specification 4.6; deploy-protocol specification 2.7 for the form of a difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_never, cast

from fenchel.database.metadata import Index, IndexKind, IndexState, Table, TableState, index_spec
from fenchel.database.system_tables import INDEXES
from fenchel.database.table_creation import create_table, insert_index
from fenchel.database.transaction import Transaction
from fenchel.database.types import BY_CREATION_TIME, BY_ID, ROOT, Namespace
from fenchel.definitions import (
    DatabaseIndex,
    SchemaDefinition,
    SearchIndex,
    TableDefinition,
    VectorIndex,
)
from fenchel.definitions import Index as IndexDefinition
from fenchel.documents import ALL_KEYS, FieldPath, encode_field_path
from fenchel.errors import bad_request
from fenchel.values import Value

_BUILT_IN = (BY_ID, BY_CREATION_TIME)


@dataclass(slots=True, kw_only=True)
class IndexDiff:
    """Changes as `{name, type, fields, …}`, as the CLI prints them. `removed` go at the finish."""

    added: list[dict[str, Value]] = field(default_factory=list)
    removed: list[dict[str, Value]] = field(default_factory=list)
    enabled: list[dict[str, Value]] = field(default_factory=list)
    disabled: list[dict[str, Value]] = field(default_factory=list)

    def encode(self) -> dict[str, Any]:
        return {
            "added_indexes": self.added,
            "removed_indexes": self.removed,
            "enabled_indexes": self.enabled,
            "disabled_indexes": self.disabled,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Versions:
    """What exists and what is wanted under one name of one table."""

    table: Table
    name: str
    enabled: Index | None
    pending: Index | None
    wanted: IndexDefinition | None

    @property
    def wanted_config(self) -> dict[str, Any] | None:
        return None if self.wanted is None else cast("dict[str, Any]", _new_config(self.wanted))

    def is_wanted(self, index: Index) -> bool:
        config = self.wanted_config
        return config is not None and index.spec == index_spec(config)


class IndexTables:
    """The `_index` rows of one namespace's user tables, through a transaction."""

    def __init__(self, tx: Transaction, namespace: Namespace = ROOT) -> None:
        self._tx = tx
        self._namespace = namespace
        self._rows = tx.system(ROOT)

    async def prepare(self, schema: SchemaDefinition) -> IndexDiff:
        """Start of a push: add what is missing, drop pending ones that nobody wants.

        Nothing that functions can query changes. Raises: TooManyTables.
        """
        for name in schema.tables:
            if self._tx.find_table(self._namespace, name) is None:
                create_table(self._tx, self._namespace, name)
        diff = IndexDiff()
        for versions in self._versions(schema):
            await self._prepare(versions, diff)
        return diff

    async def finish(self, schema: SchemaDefinition) -> IndexDiff:
        """End of a push: enable what is filled, drop what is no longer wanted.

        Raises: IndexNotFilled if a wanted index is missing or not filled.
        """
        diff = IndexDiff()
        for versions in self._versions(schema):
            await self._finish(versions, diff)
        return diff

    async def count_filled(self) -> tuple[int, int]:
        """(filled, all) of the indexes that a running push waits for; staged ones do not count."""
        self._record_all()
        waiting = [
            index
            for table in self._tables()
            for index in self._tx.metadata.indexes[table.tablet_id]
            if index.state is not IndexState.ENABLED and not index.is_staged
        ]
        filled = sum(index.state is IndexState.BACKFILLED for index in waiting)
        return filled, len(waiting)

    async def _prepare(self, versions: _Versions, diff: IndexDiff) -> None:
        enabled, pending, wanted = versions.enabled, versions.pending, versions.wanted
        if pending is not None and (
            not versions.is_wanted(pending) or (enabled and versions.is_wanted(enabled))
        ):
            await self._rows.delete(INDEXES, pending.id_text)
            if enabled is None:
                diff.removed.append(_describe(versions.table, pending))
            pending = None
        if enabled is not None and not versions.is_wanted(enabled):
            diff.removed.append(_describe(versions.table, enabled))
        if wanted is None:
            return
        if enabled is not None and versions.is_wanted(enabled):
            if wanted.is_staged:
                diff.disabled.append(_describe(versions.table, enabled))
        elif pending is None:
            config = _new_config(wanted)
            insert_index(self._tx, versions.table.id_text, versions.name, config)
            diff.added.append(_describe_definition(versions.table, wanted))
        elif pending.is_staged != wanted.is_staged:
            changed = diff.disabled if wanted.is_staged else diff.enabled
            changed.append(_describe(versions.table, pending))
            await self._set_state(pending, pending.state, is_staged=wanted.is_staged)

    async def _finish(self, versions: _Versions, diff: IndexDiff) -> None:
        enabled, pending, wanted = versions.enabled, versions.pending, versions.wanted
        if enabled is not None and not versions.is_wanted(enabled):
            await self._rows.delete(INDEXES, enabled.id_text)
            diff.removed.append(_describe(versions.table, enabled))
            enabled = None
        if wanted is None or wanted.is_staged:
            if enabled is not None:
                await self._set_state(enabled, IndexState.BACKFILLED, is_staged=True)
                diff.disabled.append(_describe(versions.table, enabled))
            return
        if enabled is not None:
            return
        is_filled = pending is not None and pending.state is IndexState.BACKFILLED
        if pending is None or not is_filled or not versions.is_wanted(pending):
            raise bad_request(
                "IndexNotFilled",
                f"Index {versions.table.name}.{versions.name} is not ready yet. Push again.",
            )
        await self._set_state(pending, IndexState.ENABLED, is_staged=False)
        diff.added.append(_describe(versions.table, pending))

    def _versions(self, schema: SchemaDefinition) -> list[_Versions]:
        """Every name that exists or is wanted, tables and names in order."""
        self._record_all()
        found = []
        for table in self._tables():
            definition = schema.tables.get(table.name)
            rows = [
                index
                for index in self._tx.metadata.indexes[table.tablet_id]
                if index.name not in _BUILT_IN
            ]
            names = {index.name for index in rows}
            if definition is not None:
                names |= definition.indexes.keys()
            found += [_versions_of(table, definition, rows, name) for name in sorted(names)]
        return found

    def _tables(self) -> list[Table]:
        tables = self._tx.metadata.by_name.values()
        own = [t for t in tables if t.namespace == self._namespace and t.is_user]
        return sorted(own, key=lambda table: table.name)

    async def _set_state(self, index: Index, state: IndexState, *, is_staged: bool) -> None:
        await set_index_state(self._tx, index, state, is_staged=is_staged)

    def _record_all(self) -> None:
        """Depend on all indexes and tables: two pushes at once must not both succeed."""
        for name in (INDEXES, "_tables"):
            table = self._tx.metadata.root_table(name)
            self._tx.record(table, self._tx.metadata.by_id_index(table.tablet_id), ALL_KEYS)


async def set_index_state(
    tx: Transaction, index: Index, state: IndexState, *, is_staged: bool
) -> None:
    """Write the state into the index's row, which must exist."""
    rows = tx.system(ROOT)
    document = await rows.get(INDEXES, index.id_text)
    assert document is not None
    value = dict(document.value)
    config = cast("dict[str, Value]", value["config"])
    value["config"] = {**config, "onDiskState": encode_index_state(index.kind, state, is_staged)}
    await rows.replace(INDEXES, index.id_text, value)


def _versions_of(
    table: Table, definition: TableDefinition | None, rows: list[Index], name: str
) -> _Versions:
    named = [index for index in rows if index.name == name]
    enabled = [index for index in named if index.state is IndexState.ENABLED]
    pending = [index for index in named if index.state is not IndexState.ENABLED]
    assert len(enabled) <= 1
    assert len(pending) <= 1
    assert table.state is TableState.ACTIVE
    return _Versions(
        table=table,
        name=name,
        enabled=enabled[0] if enabled else None,
        pending=pending[0] if pending else None,
        wanted=None if definition is None else definition.indexes.get(name),
    )


def _new_config(definition: IndexDefinition) -> dict[str, Value]:
    """The `config` of a new row. Text and vector indexes are recorded only, so nothing to fill."""
    staged = definition.is_staged
    match definition:
        case DatabaseIndex():
            return {
                "type": IndexKind.DATABASE.value,
                "fields": [encode_field_path(path) for path in definition.key_fields],
                "onDiskState": encode_index_state(
                    IndexKind.DATABASE, IndexState.BACKFILLING, staged
                ),
            }
        case SearchIndex():
            return {
                "type": IndexKind.SEARCH.value,
                "searchField": encode_field_path(definition.search_field),
                "filterFields": _encode_paths(definition.filter_fields),
                "onDiskState": encode_index_state(IndexKind.SEARCH, IndexState.BACKFILLED, staged),
            }
        case VectorIndex():
            return {
                "type": IndexKind.VECTOR.value,
                "vectorField": encode_field_path(definition.vector_field),
                "dimensions": definition.dimensions,
                "filterFields": _encode_paths(definition.filter_fields),
                "onDiskState": encode_index_state(IndexKind.VECTOR, IndexState.BACKFILLED, staged),
            }
        case _:
            assert_never(definition)


def _encode_paths(paths: frozenset[FieldPath]) -> list[Value]:
    return [*sorted(map(encode_field_path, paths))]


def encode_index_state(kind: IndexKind, state: IndexState, is_staged: bool) -> dict[str, Value]:
    if kind is not IndexKind.DATABASE:
        names = {
            IndexState.BACKFILLING: "backfilling",
            IndexState.BACKFILLED: "backfilled2",
            IndexState.ENABLED: "snapshotted",
        }
        return {"state": names[state], "staged": is_staged}
    match state:
        case IndexState.BACKFILLING:
            return {"type": state.value, "backfillState": {"staged": is_staged}}
        case IndexState.BACKFILLED:
            return {"type": state.value, "staged": is_staged}
        case IndexState.ENABLED:
            return {"type": state.value}
        case _:
            assert_never(state)


def _describe_definition(table: Table, definition: IndexDefinition) -> dict[str, Value]:
    config = _new_config(definition)
    del config["onDiskState"]
    return {"name": f"{table.name}.{definition.name}", **config, "staged": definition.is_staged}


def _describe(table: Table, index: Index) -> dict[str, Value]:
    name = f"{table.name}.{index.name}"
    base: dict[str, Value] = {"name": name, "type": index.kind.value, "staged": index.is_staged}
    match index.kind:
        case IndexKind.DATABASE:
            return {**base, "fields": [encode_field_path(path) for path in index.fields]}
        case IndexKind.SEARCH:
            _, search_field, filter_fields = index.spec
            return {**base, "searchField": search_field, "filterFields": sorted(filter_fields)}
        case IndexKind.VECTOR:
            _, vector_field, dimensions, filter_fields = index.spec
            return {
                **base,
                "vectorField": vector_field,
                "dimensions": dimensions,
                "filterFields": sorted(filter_fields),
            }
        case _:
            assert_never(index.kind)
