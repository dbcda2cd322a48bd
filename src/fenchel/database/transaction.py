"""One transaction: a snapshot, the read set, the write set, and the primitives that all tables use.

`UserTables` and `SystemTables` put names, rules and limits on top of it; the committer takes it
over at the end. Source: database specification 7.
"""

from __future__ import annotations

import math

import msgspec

from fenchel.database.metadata import (
    Index,
    Metadata,
    Table,
    id_interval,
    index_rows_interval,
    table_name_interval,
    table_number_interval,
)
from fenchel.database.read_set import ReadSet, Token
from fenchel.database.reservations import Reservation
from fenchel.database.snapshot import Snapshot
from fenchel.database.system_access import SystemTables
from fenchel.database.types import ROOT, Namespace, StoredDocument, rest_after
from fenchel.database.usage import ReadCounts, TransactionUsage, WriteCounts
from fenchel.database.user_tables import UserTables
from fenchel.database.virtual_tables import VirtualTables, find_by_physical_name
from fenchel.database.write_set import WriteSet
from fenchel.documents import (
    ALL_KEYS,
    Document,
    InternalId,
    Interval,
    TabletId,
    Timestamp,
    encode_document_id,
    key_interval,
)
from fenchel.persistence import IndexPage
from fenchel.runtime import Runtime
from fenchel.values import Examined, Value, encode_sort_key

_DAY_NS = 86_400_000_000_000
_NANOSECONDS_PER_MILLISECOND = 1e6


class _Level(msgspec.Struct, frozen=True):
    """What a rollback restores beside the writes."""

    metadata: Metadata
    counts: WriteCounts


class ReadMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction had read at a moment when it had written nothing in its level."""

    reads: ReadSet
    counts: ReadCounts
    write_dependencies: frozenset[TabletId]
    next_creation_time: float


class Transaction:
    """Reads see the snapshot at `begin_ts` and the transaction's own writes.

    `metadata` starts as the snapshot's and follows the transaction's own writes to system tables.
    Reads never leave the read set; writes of a level vanish with its rollback.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        runtime: Runtime,
        virtual_tables: VirtualTables,
        reservation: Reservation | None = None,
    ) -> None:
        self.begin_ts: Timestamp = snapshot.ts
        self.reservation = reservation
        self.reads = ReadSet()
        self.usage = TransactionUsage(limits=runtime.settings.transaction, reads=self.reads)
        self.settings = runtime.settings.database
        self.metadata = snapshot.metadata
        self.writes = WriteSet()
        self.virtual_tables = virtual_tables
        self._snapshot = snapshot
        self._randomness = runtime.randomness
        started_ns = max(snapshot.ts, runtime.clock.now_ns())
        self._day = (started_ns // _DAY_NS).to_bytes(2, "big")
        self._next_creation_time = started_ns / _NANOSECONDS_PER_MILLISECOND
        self._levels: list[_Level] = []
        # Tables whose rows, indexes and schemas are in the read set because they were written to.
        self._write_dependencies: set[TabletId] = set()

    @property
    def is_read_only(self) -> bool:
        return not self.writes

    def user(self, namespace: Namespace = ROOT) -> UserTables:
        """The tables of a component as its functions see them, with all rules and limits."""
        return UserTables(self, namespace)

    def system(self, namespace: Namespace = ROOT) -> SystemTables:
        """The system tables of a component; no limits."""
        return SystemTables(self, namespace)

    def begin_subtransaction(self) -> None:
        """Start a level whose writes can be undone. Every level must be ended before the commit."""
        self._levels.append(_Level(self.metadata, self.usage.mark_writes()))
        self.writes.begin_level()

    def commit_subtransaction(self) -> None:
        """Keep the level's writes as the parent's."""
        self._levels.pop()
        self.writes.commit_level()

    def rollback_subtransaction(self) -> None:
        """Undo the level's writes and what they counted. Its reads remain."""
        level = self._levels.pop()
        self.metadata = level.metadata
        self.usage.restore_writes(level.counts)
        self.writes.rollback_level()

    def mark_reads(self) -> ReadMark:
        """For `restore_reads`."""
        return ReadMark(
            reads=self.reads.copy(),
            counts=self.usage.mark_reads(),
            write_dependencies=frozenset(self._write_dependencies),
            next_creation_time=self._next_creation_time,
        )

    def restore_reads(self, mark: ReadMark) -> None:
        """Forget what was read since the mark, because nothing that was learned from it remains.

        The caller has undone the writes since then.
        """
        self.reads.restore(mark.reads)
        self.usage.restore_reads(mark.counts)
        self._write_dependencies = set(mark.write_dependencies)
        self._next_creation_time = mark.next_creation_time

    # Looking up: what is found, and what is missing, becomes a read.

    def find_table(self, namespace: Namespace, name: str) -> Table | None:
        """The active table of that name."""
        index_id = self.metadata.tables_by_name_index.index_id
        self.reads.record(index_id, table_name_interval(namespace, name), is_user=False)
        return self.metadata.by_name.get((namespace, name))

    def find_table_by_number(self, namespace: Namespace, number: int) -> Table | None:
        """The active table that ids with this number belong to."""
        index_id = self.metadata.tables_by_number_index.index_id
        self.reads.record(index_id, table_number_interval(namespace, number), is_user=False)
        return self.metadata.by_number.get((namespace, number))

    def find_index(self, table: Table, name: str) -> Index | None:
        """The index of that name, in whatever state."""
        rows_index = self.metadata.indexes_by_table_index
        self.reads.record(rows_index.index_id, index_rows_interval(table, name), is_user=False)
        return self.metadata.find_index(table.tablet_id, name)

    def record(self, table: Table, index: Index, interval: Interval) -> None:
        """Depend on the interval of the index."""
        self.reads.record(index.index_id, interval, is_user=table.is_user)

    def depend_on(self, token: Token) -> None:
        """Take over what another transaction read in system tables, as if this one had read it.

        The caller has seen that the token holds at this snapshot, or was taken at a later one from
        rows that this snapshot has too.
        """
        self.reads.merge(token.reads)

    # Documents.

    async def load_page(
        self, table: Table, index: Index, interval: Interval, *, is_descending: bool, limit: int
    ) -> IndexPage:
        """A page of the interval from its beginning, own writes included. Records nothing."""
        while True:
            committed = await self._snapshot.load_index_page(
                table, index, interval, is_descending=is_descending, limit=limit
            )
            page = self.writes.merge_page(
                index, interval, committed, is_descending=is_descending, limit=limit
            )
            if page.revisions or not page.has_more:
                return page
            # This transaction deleted or moved all of them: look further.
            interval = rest_after(interval, committed.revisions[-1].key, is_descending)

    async def load_document(self, table: Table, internal_id: InternalId) -> StoredDocument | None:
        """The document as this transaction sees it; depends on its presence and content."""
        id_text = encode_document_id(table.number, internal_id)
        index = self.metadata.by_id_index(table.tablet_id)
        interval = id_interval(id_text)
        self.record(table, index, interval)
        pending = self.writes.get(table.tablet_id, internal_id)
        if pending is not None:
            if pending.new is None:
                return None
            return StoredDocument(Timestamp(pending.old.ts if pending.old else 0), pending.new)
        return await self._snapshot.load_document(table, index, internal_id, interval)

    async def was_deleted(self, table: Table, internal_id: InternalId) -> bool:
        """Whether a document of that id, which this transaction does not find, was deleted before,
        as far back as the log goes (database specification 7.5). The caller has looked for it."""
        return await self._snapshot.was_deleted(table, internal_id)

    def document_count(self, table: Table) -> int:
        """Live documents of the table; depends on all of them."""
        self.record(table, self.metadata.by_id_index(table.tablet_id), ALL_KEYS)
        committed = self._snapshot.document_count(table.tablet_id)
        return committed + self.writes.live_count_delta(table.tablet_id)

    def committed_size(self, table: Table) -> tuple[int, int]:
        """(documents, bytes) of the table in the snapshot. Records nothing."""
        return self._snapshot.counts.at(table.tablet_id, self.begin_ts)

    def table_name(self, tablet_id: TabletId) -> tuple[Namespace, str] | None:
        """Component and name of a table as functions call it; None if there is no such table.
        Records nothing."""
        table = self.metadata.tables.get(tablet_id)
        if table is None:
            return None
        view = None if table.is_user else find_by_physical_name(self.virtual_tables, table.name)
        return table.namespace, table.name if view is None else view.name

    def insert_document(
        self,
        table: Table,
        internal_id: InternalId,
        value: dict[str, Value],
        *,
        examined: Examined | None = None,
    ) -> Document:
        """Write a new document, whose value has its system fields already."""
        document = Document.create(
            table.tablet_id, table.number, internal_id, value, examined=examined
        )
        index = self.metadata.by_id_index(table.tablet_id)
        # Two transactions that insert the same id conflict (database specification 1.7).
        self.record(table, index, key_interval(encode_sort_key(document.id_text)))
        self.write_document(table, None, document, internal_id)
        return document

    def write_document(
        self,
        table: Table,
        old: StoredDocument | None,
        new: Document | None,
        internal_id: InternalId,
    ) -> None:
        """Replace `old` by `new`; None means absent. The caller has read `old` in this
        transaction."""
        if table.tablet_id not in self._write_dependencies:
            self._write_dependencies.add(table.tablet_id)
            self.reads.merge(self.metadata.write_dependencies(table))
        self.writes.put(table.tablet_id, internal_id, old, new)
        before = None if old is None else old.document
        self.metadata = self.metadata.with_write(table.tablet_id, before, new)

    def new_internal_id(self) -> InternalId:
        """14 random bytes and the day, whose sameness compresses (database specification 1.7)."""
        return InternalId(self._randomness.token_bytes(14) + self._day)

    def next_creation_time(self) -> float:
        """Milliseconds, larger at each call by the least amount a double can show."""
        time = self._next_creation_time
        self._next_creation_time = math.nextafter(time, math.inf)
        return time

    def check_levels_closed(self) -> None:
        """Called before the commit: a transaction with an open level must not commit."""
        assert not self._levels, "commit inside a subtransaction"
