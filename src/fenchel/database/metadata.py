"""What a snapshot knows about tables, indexes and schemas: immutable, derived from system
documents.

`Metadata.with_write` turns one written document into the next state. Transactions use it for their
own writes, the committer for all, so both see the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any, cast

from fenchel.database.read_set import ReadSet
from fenchel.database.schema_registry import SchemaRegistry
from fenchel.database.system_tables import (
    INDEXES,
    INDEXES_BY_TABLE,
    SCHEMAS,
    TABLES,
    TABLES_BY_NAME,
    TABLES_BY_NUMBER,
    is_in_memory,
    is_system_name,
)
from fenchel.database.types import BY_ID, ROOT, Namespace
from fenchel.documents import (
    ALL_KEYS,
    Document,
    FieldPath,
    IndexId,
    IndexKeyEncoder,
    Interval,
    TabletId,
    compile_index_key,
    decode_document_id,
    decode_field_path,
    key_interval,
    prefix_interval,
)
from fenchel.values import UNDEFINED, Value, encode_sort_key

# Intervals of tables and documents that were asked for lately; every transaction asks again.
_REMEMBERED_COUNT = 1 << 13
# A valid name is shorter.
_NAME_LENGTH_MAX = 64


class TableState(Enum):
    ACTIVE = "active"
    HIDDEN = "hidden"
    DELETING = "deleting"


class IndexKind(Enum):
    DATABASE = "database"
    SEARCH = "search"
    VECTOR = "vector"


class IndexState(Enum):
    """Backfilling to backfilled by the backfiller; to enabled by a push; back only by staging."""

    BACKFILLING = "Backfilling"
    BACKFILLED = "Backfilled2"
    ENABLED = "Enabled"


@dataclass(frozen=True)
class Table:
    """A row of `_tables` (database specification 3.1)."""

    tablet_id: TabletId
    id_text: str
    namespace: Namespace
    name: str
    number: int
    state: TableState

    @cached_property
    def is_user(self) -> bool:
        return not is_system_name(self.name)

    @cached_property
    def is_in_memory(self) -> bool:
        return is_in_memory(self.name)


@dataclass(frozen=True)
class Index:
    """A row of `_index`. `fields` holds all fields with the last `_creationTime`; `by_id` has none.

    `spec` is what makes two definitions the same index (database specification 4.6).
    """

    index_id: IndexId
    id_text: str
    tablet_id: TabletId
    name: str
    kind: IndexKind
    fields: tuple[FieldPath, ...]
    state: IndexState
    is_staged: bool
    spec: tuple[Any, ...]

    @cached_property
    def encode_key(self) -> IndexKeyEncoder:
        """For the keys of a database index."""
        assert self.kind is IndexKind.DATABASE
        return compile_index_key(self.fields)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Registries of one snapshot. Invariant: every index's table is known, in whatever state."""

    tables: Mapping[TabletId, Table] = field(default_factory=dict)
    by_name: Mapping[tuple[Namespace, str], Table] = field(default_factory=dict)
    by_number: Mapping[tuple[Namespace, int], Table] = field(default_factory=dict)
    indexes: Mapping[TabletId, tuple[Index, ...]] = field(default_factory=dict)
    schemas: SchemaRegistry = field(default_factory=SchemaRegistry)

    def with_write(
        self, tablet_id: TabletId, old: Document | None, new: Document | None
    ) -> Metadata:
        """The metadata after this document was written; self if the table says nothing about it."""
        table = self.tables.get(tablet_id)
        if table is None or table.is_user:
            return self
        if table.name == TABLES:
            return self._with_table(old, new)
        if table.name == INDEXES:
            return self._with_index(old, new)
        if table.name == SCHEMAS:
            return replace(self, schemas=self.schemas.with_write(table.namespace, old, new))
        return self

    def with_table(self, table: Table) -> Metadata:
        """Add a table or change its state."""
        tables = {**self.tables, table.tablet_id: table}
        return self._with_tables(tables)

    def find_index(self, tablet_id: TabletId, name: str) -> Index | None:
        """The index that queries of this name use: the enabled one, else any pending one."""
        found: Index | None = None
        for index in self.indexes.get(tablet_id, ()):
            if index.name == name:
                if index.state is IndexState.ENABLED:
                    return index
                found = index
        return found

    def index_named(self, tablet_id: TabletId, name: str) -> Index:
        """An index that must be there."""
        index = self.find_index(tablet_id, name)
        assert index is not None, name
        return index

    def by_id_index(self, tablet_id: TabletId) -> Index:
        return self._by_id_indexes[tablet_id]

    def database_indexes(self, tablet_id: TabletId) -> tuple[Index, ...]:
        """The indexes of the table whose entries commits write."""
        found = self._database_indexes.get(tablet_id)
        if found is None:
            indexes = self.indexes[tablet_id]
            found = tuple(index for index in indexes if index.kind is IndexKind.DATABASE)
            self._database_indexes[tablet_id] = found
        return found

    def write_dependencies(self, table: Table) -> ReadSet:
        """The table, all its indexes and its namespace's schemas (specification 7.2).

        So that a write conflicts with a table's replacement, with an index it would have to
        maintain and with a schema it would have to obey.
        """
        reads = self._write_dependencies.get(table.tablet_id)
        if reads is None:
            reads = self._write_dependencies[table.tablet_id] = self._find_dependencies(table)
        return reads

    def _find_dependencies(self, table: Table) -> ReadSet:
        reads = ReadSet()
        rows_index = self.indexes_by_table_index
        reads.record(rows_index.index_id, index_rows_interval(table), is_user=False)
        by_id = self.by_id_index(self.root_table(TABLES).tablet_id)
        reads.record(by_id.index_id, id_interval(table.id_text), is_user=False)
        schemas = self.by_name.get((table.namespace, SCHEMAS))
        if table.is_user and schemas is not None:
            by_id = self.by_id_index(schemas.tablet_id)
            reads.record(by_id.index_id, ALL_KEYS, is_user=False)
        reads.freeze()
        return reads

    def root_table(self, name: str) -> Table:
        return self.by_name[ROOT, name]

    @cached_property
    def _by_id_indexes(self) -> Mapping[TabletId, Index]:
        found = {tablet_id: self.find_index(tablet_id, BY_ID) for tablet_id in self.indexes}
        return {tablet_id: index for tablet_id, index in found.items() if index is not None}

    @cached_property
    def _database_indexes(self) -> dict[TabletId, tuple[Index, ...]]:
        """Those that were asked for."""
        return {}

    @cached_property
    def _write_dependencies(self) -> dict[TabletId, ReadSet]:
        """Those that were asked for."""
        return {}

    @cached_property
    def tables_by_name_index(self) -> Index:
        """The index over `_tables` rows that every look-up of a name depends on."""
        return self.index_named(self.root_table(TABLES).tablet_id, TABLES_BY_NAME)

    @cached_property
    def tables_by_number_index(self) -> Index:
        """The index over `_tables` rows that every look-up of an id depends on."""
        return self.index_named(self.root_table(TABLES).tablet_id, TABLES_BY_NUMBER)

    @cached_property
    def indexes_by_table_index(self) -> Index:
        """The index over `_index` rows by table and name, which every look-up depends on."""
        return self.index_named(self.root_table(INDEXES).tablet_id, INDEXES_BY_TABLE)

    def _with_table(self, old: Document | None, new: Document | None) -> Metadata:
        if new is not None:
            return self.with_table(decode_table(new))
        assert old is not None
        removed = decode_table(old).tablet_id
        return self._with_tables({k: v for k, v in self.tables.items() if k != removed})

    def _with_tables(self, tables: Mapping[TabletId, Table]) -> Metadata:
        active = [table for table in tables.values() if table.state is TableState.ACTIVE]
        return replace(
            self,
            tables=tables,
            by_name={(table.namespace, table.name): table for table in active},
            by_number={(table.namespace, table.number): table for table in active},
        )

    def _with_index(self, old: Document | None, new: Document | None) -> Metadata:
        changed = decode_index(cast("Document", new or old))
        kept = tuple(
            index
            for index in self.indexes.get(changed.tablet_id, ())
            if index.index_id != changed.index_id
        )
        rows = (*kept, changed) if new is not None else kept
        return replace(self, indexes={**self.indexes, changed.tablet_id: rows})


def decode_table(document: Document) -> Table:
    """The table described by a `_tables` document."""
    value = cast("dict[str, Any]", document.value)
    return Table(
        tablet_id=TabletId(document.internal_id),
        id_text=document.id_text,
        namespace=decode_namespace(value.get("namespace")),
        name=value["name"],
        number=value["number"],
        state=TableState(value["state"]),
    )


def decode_index(document: Document) -> Index:
    """The index described by an `_index` document."""
    value = cast("dict[str, Any]", document.value)
    config = value["config"]
    kind = IndexKind(config["type"])
    state, is_staged = _decode_state(kind, config["onDiskState"])
    return Index(
        index_id=IndexId(document.internal_id),
        id_text=document.id_text,
        tablet_id=TabletId(decode_document_id(value["table_id"]).internal_id),
        name=value["descriptor"],
        kind=kind,
        fields=tuple(map(decode_field_path, config.get("fields", ()))),
        state=state,
        is_staged=is_staged,
        spec=index_spec(config),
    )


def index_spec(config: dict[str, Any]) -> tuple[Any, ...]:
    """What identifies an index beside its name; the order of filter fields does not matter."""
    match IndexKind(config["type"]):
        case IndexKind.DATABASE:
            return (IndexKind.DATABASE, *config["fields"])
        case IndexKind.SEARCH:
            return (IndexKind.SEARCH, config["searchField"], frozenset(config["filterFields"]))
        case IndexKind.VECTOR:
            return (
                IndexKind.VECTOR,
                config["vectorField"],
                config["dimensions"],
                frozenset(config["filterFields"]),
            )


def encode_namespace(namespace: Namespace) -> dict[str, Value] | None:
    """The `namespace` field of a `_tables` row; None stands for an absent field (root)."""
    return None if namespace == ROOT else {"kind": "byComponent", "id": namespace}


def decode_namespace(value: dict[str, Any] | None) -> Namespace:
    return ROOT if value is None else cast("str", value["id"])


def table_name_interval(namespace: Namespace, name: str) -> Interval:
    """The `_tables` rows of a name, in the index by name."""
    # Functions may ask for any text; what cannot be a table must not fill the memory.
    is_remembered = len(name) <= _NAME_LENGTH_MAX
    find = _table_name_interval if is_remembered else _table_name_interval.__wrapped__
    return find(namespace, name)


@lru_cache(maxsize=_REMEMBERED_COUNT)
def _table_name_interval(namespace: Namespace, name: str) -> Interval:
    key = encode_sort_key(encode_namespace(namespace) or UNDEFINED) + encode_sort_key(name)
    return prefix_interval(key)


@lru_cache(maxsize=_REMEMBERED_COUNT)
def table_number_interval(namespace: Namespace, number: int) -> Interval:
    """The `_tables` rows of a number, in the index by number."""
    key = encode_sort_key(encode_namespace(namespace) or UNDEFINED) + encode_sort_key(number)
    return prefix_interval(key)


@lru_cache(maxsize=_REMEMBERED_COUNT)
def id_interval(id_text: str) -> Interval:
    """The place of a document in the index by id of its table."""
    return key_interval(encode_sort_key(id_text))


def index_rows_interval(table: Table, index_name: str | None = None) -> Interval:
    """The `_index` rows of a table, or those of one name, in the index by table and name."""
    is_remembered = index_name is None or len(index_name) <= _NAME_LENGTH_MAX
    find = _index_rows_interval if is_remembered else _index_rows_interval.__wrapped__
    return find(table.id_text, index_name)


@lru_cache(maxsize=_REMEMBERED_COUNT)
def _index_rows_interval(table_id_text: str, index_name: str | None) -> Interval:
    prefix = encode_sort_key(table_id_text)
    if index_name is not None:
        prefix += encode_sort_key(index_name)
    return prefix_interval(prefix)


def _decode_state(kind: IndexKind, state: dict[str, Any]) -> tuple[IndexState, bool]:
    if kind is IndexKind.DATABASE:
        backfill = state.get("backfillState", state)
        return IndexState(state["type"]), bool(backfill.get("staged", False))
    names = {
        "backfilling": IndexState.BACKFILLING,
        "backfilled2": IndexState.BACKFILLED,
        "snapshotted": IndexState.ENABLED,
    }
    return names[state["state"]], bool(state.get("staged", False))
