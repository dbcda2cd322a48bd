"""From an open persistence to the published state, and the first tables of a fresh one.

Reads the metadata and the small system tables through their indexes, never user data. Source:
database specification 9.5 and 9.8.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fenchel.database.in_memory_indexes import InMemoryIndexes, OlderIndexes
from fenchel.database.metadata import Index, IndexKind, IndexState, Metadata, Table, TableState
from fenchel.database.persisted_timestamps import (
    MAX_REPEATABLE_TS,
    decode_global_ts,
    encode_global_ts,
)
from fenchel.database.snapshot import SnapshotManager, TableCounts
from fenchel.database.system_tables import (
    INDEXES,
    SCHEMAS,
    SYSTEM_TABLES,
    TABLES,
    indexes_of_new_table,
)
from fenchel.database.table_creation import (
    create_table,
    enabled_index_config,
    index_row,
    insert_system_document,
    table_row,
)
from fenchel.database.types import BY_ID, ROOT, rest_after
from fenchel.documents import (
    ALL_KEYS,
    IndexId,
    InternalId,
    TabletId,
    Timestamp,
    decode_field_path,
    encode_document_id,
    encode_field_path,
)
from fenchel.persistence import (
    DocumentRow,
    IndexRow,
    MemoryStore,
    Persistence,
    Revision,
    WriteBatch,
)
from fenchel.runtime import Runtime
from fenchel.values import decode_json, encode_json

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction

_PAGE_ROWS = 1_000
_INTERNAL_ID_BYTES = 16
_SEED_TABLES = (TABLES, INDEXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedIds:
    """Where everything else is found: ids of `_tables` and `_index`, and of their `by_id`
    indexes."""

    tables: TabletId
    tables_by_id: IndexId
    index: TabletId
    index_by_id: IndexId


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedState:
    """`is_fresh`: nothing is stored yet but the seed ids; `create_system_tables` must commit
    first."""

    snapshots: SnapshotManager
    is_fresh: bool


async def load_state(
    persistence: Persistence, runtime: Runtime, older_indexes: InMemoryIndexes | None
) -> LoadedState:
    """The state at a new timestamp, later than anything ever promised (specification 9.3)."""
    global_values = await persistence.load_globals()
    ids = _decode_seed_ids(global_values) or _new_seed_ids(runtime)
    ts = await _bump_max_repeatable_ts(persistence, runtime, global_values, ids)
    metadata = _seed_metadata(ids, runtime)
    stored = await _load_metadata(persistence, ids, metadata, ts)
    memory = MemoryStore(keeps_history=False)
    if stored is not None:
        metadata = stored
        await _load_memory_tables(persistence, metadata, memory, ts)
    snapshots = SnapshotManager(
        ts=ts,
        metadata=metadata,
        persistence=persistence,
        memory=memory,
        counts=TableCounts(await persistence.load_summaries(), ts),
        settings=runtime.settings.database,
        older=OlderIndexes(ts, persistence, older_indexes),
    )
    return LoadedState(snapshots=snapshots, is_fresh=stored is None)


def create_system_tables(tx: Transaction, *, is_fresh: bool) -> None:
    """Create what is missing of the root namespace's system tables; a fresh database has none."""
    if is_fresh:
        for name in _SEED_TABLES:
            _insert_seed_rows(tx, tx.metadata.root_table(name))
    for name in SYSTEM_TABLES:
        if tx.find_table(ROOT, name) is None:
            create_table(tx, ROOT, name)


def _insert_seed_rows(tx: Transaction, table: Table) -> None:
    """Store what the seed metadata says of a table, under the ids that it already has there."""
    tables, rows = tx.metadata.root_table(TABLES), tx.metadata.root_table(INDEXES)
    value = table_row(ROOT, table.name, table.number)
    insert_system_document(tx, tables, value, InternalId(table.tablet_id))
    for index in tx.metadata.indexes[table.tablet_id]:
        config = enabled_index_config(tuple(map(encode_field_path, index.fields)))
        value = index_row(table.id_text, index.name, config)
        insert_system_document(tx, rows, value, InternalId(index.index_id))


async def _bump_max_repeatable_ts(
    persistence: Persistence, runtime: Runtime, global_values: dict[str, str], ids: SeedIds
) -> Timestamp:
    promised = decode_global_ts(global_values, MAX_REPEATABLE_TS)
    newest = max(promised, await persistence.load_latest_ts())
    ts = Timestamp(max(newest + 1, runtime.clock.now_ns()))
    values = {**_encode_seed_ids(ids), MAX_REPEATABLE_TS: encode_global_ts(ts)}
    await persistence.write(WriteBatch(global_values=values))
    return ts


async def _load_metadata(
    persistence: Persistence, ids: SeedIds, seed: Metadata, ts: Timestamp
) -> Metadata | None:
    """The stored metadata; None if nothing is stored."""
    metadata = replace(seed, indexes={})
    is_fresh = True
    for tablet_id, by_id in ((ids.tables, ids.tables_by_id), (ids.index, ids.index_by_id)):
        async for revision in _load_all(persistence, by_id, ts):
            metadata = metadata.with_write(tablet_id, None, revision.document)
            is_fresh = False
    if is_fresh:
        return None
    for table in metadata.tables.values():
        if table.name == SCHEMAS:
            index_id = metadata.by_id_index(table.tablet_id).index_id
            async for revision in _load_all(persistence, index_id, ts):
                metadata = metadata.with_write(table.tablet_id, None, revision.document)
    return metadata


async def _load_memory_tables(
    persistence: Persistence, metadata: Metadata, memory: MemoryStore, ts: Timestamp
) -> None:
    for table in metadata.tables.values():
        if not table.is_in_memory:
            continue
        for index in metadata.indexes[table.tablet_id]:
            async for revision in _load_all(persistence, index.index_id, ts):
                memory.apply(_rows_of_revision(index.index_id, revision))


def _rows_of_revision(index_id: IndexId, revision: Revision) -> WriteBatch:
    key, ts, document = revision
    ids = (document.tablet_id, document.internal_id)
    return WriteBatch(
        documents=[DocumentRow(ts, *ids, document, None)],
        index_rows=[IndexRow(index_id, key, ts, False, *ids)],
    )


async def _load_all(
    persistence: Persistence, index_id: bytes, ts: Timestamp
) -> AsyncIterator[Revision]:
    interval, has_more = ALL_KEYS, True
    while has_more:
        revisions, has_more = await persistence.load_index_page(
            index_id, interval, ts=ts, is_descending=False, limit=_PAGE_ROWS
        )
        for revision in revisions:
            yield revision
        if revisions:
            interval = rest_after(interval, revisions[-1].key, False)


def _seed_metadata(ids: SeedIds, runtime: Runtime) -> Metadata:
    """`_tables` and `_index` as they are before their own rows can be read."""
    metadata = Metadata()
    for name, tablet_id, by_id in (
        (TABLES, ids.tables, ids.tables_by_id),
        (INDEXES, ids.index, ids.index_by_id),
    ):
        number = SYSTEM_TABLES[name].number
        table = Table(
            tablet_id=tablet_id,
            id_text=encode_document_id(SYSTEM_TABLES[TABLES].number, tablet_id),
            namespace=ROOT,
            name=name,
            number=number,
            state=TableState.ACTIVE,
        )
        metadata = metadata.with_table(table)
        indexes = tuple(
            _seed_index(tablet_id, index_name, fields, by_id, runtime)
            for index_name, fields in indexes_of_new_table(name).items()
        )
        metadata = replace(metadata, indexes={**metadata.indexes, tablet_id: indexes})
    return metadata


def _seed_index(
    tablet_id: TabletId, name: str, fields: tuple[str, ...], by_id: IndexId, runtime: Runtime
) -> Index:
    index_id = by_id if name == BY_ID else IndexId(_new_id(runtime))
    return Index(
        index_id=index_id,
        id_text=encode_document_id(SYSTEM_TABLES[INDEXES].number, index_id),
        tablet_id=tablet_id,
        name=name,
        kind=IndexKind.DATABASE,
        fields=tuple(map(decode_field_path, fields)),
        state=IndexState.ENABLED,
        is_staged=False,
        spec=(IndexKind.DATABASE, *fields),
    )


def _new_seed_ids(runtime: Runtime) -> SeedIds:
    return SeedIds(
        tables=TabletId(_new_id(runtime)),
        tables_by_id=IndexId(_new_id(runtime)),
        index=TabletId(_new_id(runtime)),
        index_by_id=IndexId(_new_id(runtime)),
    )


def _new_id(runtime: Runtime) -> bytes:
    return runtime.randomness.token_bytes(_INTERNAL_ID_BYTES)


def _encode_seed_ids(ids: SeedIds) -> dict[str, str]:
    """As globals (specification 9.3): JSON strings in hexadecimal."""
    return {
        "tables_table_id": encode_json(ids.tables.hex()),
        "tables_by_id": encode_json(ids.tables_by_id.hex()),
        "index_table_id": encode_json(ids.index.hex()),
        "index_by_id": encode_json(ids.index_by_id.hex()),
    }


def _decode_seed_ids(global_values: dict[str, str]) -> SeedIds | None:
    """None in a database that was never opened."""
    if "tables_table_id" not in global_values:
        return None
    return SeedIds(
        tables=TabletId(_decode_id(global_values["tables_table_id"])),
        tables_by_id=IndexId(_decode_id(global_values["tables_by_id"])),
        index=TabletId(_decode_id(global_values["index_table_id"])),
        index_by_id=IndexId(_decode_id(global_values["index_by_id"])),
    )


def _decode_id(text: str) -> bytes:
    decoded = decode_json(text)
    assert isinstance(decoded, str)
    return bytes.fromhex(decoded)
