"""A finished transaction, taken apart for the committer: pure, and done before its serial step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from fenchel.database.metadata import Index, IndexKind, Metadata
from fenchel.database.read_set import IndexWrite, ReadSet
from fenchel.database.reservations import Reservation
from fenchel.database.system_tables import TABLES
from fenchel.database.types import StoredDocument
from fenchel.database.write_set import index_key
from fenchel.documents import Document, IndexId, InternalId, TabletId, Timestamp
from fenchel.persistence import DocumentRow, IndexRow, WriteBatch

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction


class KeyChange(NamedTuple):
    """Where a document stood, and stands, in one index."""

    index_id: IndexId
    old_key: bytes | None
    new_key: bytes | None


class DocumentChange(NamedTuple):
    """One written document with its keys in every database index of its table."""

    tablet_id: TabletId
    internal_id: InternalId
    old_ts: Timestamp | None
    old: Document | None
    new: Document | None
    keys: list[KeyChange]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCommit:
    """Everything the committer needs; it never looks at the transaction again.

    `changes` is ordered so that tables come before what refers to them; without any the commit only
    moves the repeatable timestamp. `reservation` is the turn that the transaction began in, if any.
    `unresolved` maps the places of changes that wait for the commit's timestamp to their table's
    indexes; until `at` their keys are those of the greatest Int64.
    """

    begin_ts: Timestamp
    reads: ReadSet
    changes: Sequence[DocumentChange]
    memory_tablets: frozenset[TabletId]
    write_source: str | None
    reservation: Reservation | None
    unresolved: Mapping[int, Sequence[Index]] = field(default_factory=dict)

    def at(self, ts: Timestamp) -> PreparedCommit:
        """This commit with `ts` in every document that asks for its commit timestamp."""
        if not self.unresolved:
            return self
        changes = list(self.changes)
        for place, indexes in self.unresolved.items():
            change = changes[place]
            assert change.new is not None
            new = change.new.with_commit_ts(ts)
            keys = [_key_change(index, change.old, new) for index in indexes]
            changes[place] = change._replace(new=new, keys=keys)
        return replace(self, changes=changes, unresolved={})

    def metadata_after(self, metadata: Metadata) -> Metadata:
        """`metadata` with this commit's system documents."""
        for change in self.changes:
            metadata = metadata.with_write(change.tablet_id, change.old, change.new)
        return metadata

    def index_writes(self, ts: Timestamp) -> dict[bytes, list[IndexWrite]]:
        """What the commit log keeps, by index."""
        writes: dict[bytes, list[IndexWrite]] = {}
        for change in self.changes:
            for key in change.keys:
                writes.setdefault(key.index_id, []).append(
                    IndexWrite(
                        ts,
                        key.old_key,
                        key.new_key,
                        change.tablet_id,
                        change.internal_id,
                        self.write_source,
                    )
                )
        return writes

    def count_changes(self) -> Mapping[TabletId, tuple[int, int]]:
        """(documents, bytes) that each table gains."""
        gains: dict[TabletId, tuple[int, int]] = {}
        for change in self.changes:
            count, size_bytes = gains.get(change.tablet_id, (0, 0))
            if change.new is not None:
                count, size_bytes = count + 1, size_bytes + change.new.size_bytes
            if change.old is not None:
                count, size_bytes = count - 1, size_bytes - change.old.size_bytes
            gains[change.tablet_id] = (count, size_bytes)
        return gains

    def document_rows(self, ts: Timestamp) -> list[DocumentRow]:
        return [
            DocumentRow(ts, change.tablet_id, change.internal_id, change.new, change.old_ts)
            for change in self.changes
        ]

    def index_rows(self, ts: Timestamp) -> list[IndexRow]:
        """Each new key at `ts`; and each key left behind, deleted (specification 9.1)."""
        rows = []
        for tablet_id, internal_id, _, _, _, keys in self.changes:
            for index_id, old_key, new_key in keys:
                if new_key is not None:
                    rows.append(IndexRow(index_id, new_key, ts, False, tablet_id, internal_id))
                if old_key is not None and old_key != new_key:
                    rows.append(IndexRow(index_id, old_key, ts, True, tablet_id, internal_id))
        return rows

    def memory_rows(self, batch: WriteBatch) -> WriteBatch:
        """The part of this commit's rows that belongs to tables held in memory."""
        if not self.memory_tablets:
            return _NO_ROWS
        return WriteBatch(
            documents=[row for row in batch.documents if row.tablet_id in self.memory_tablets],
            index_rows=[row for row in batch.index_rows if row.tablet_id in self.memory_tablets],
        )


_NO_ROWS = WriteBatch()


def prepare_bump(begin_ts: Timestamp) -> PreparedCommit:
    """A commit that reads and writes nothing (specification 9.3)."""
    return PreparedCommit(
        begin_ts=begin_ts,
        reads=ReadSet(),
        changes=(),
        memory_tablets=frozenset(),
        write_source=None,
        reservation=None,
    )


def prepare_commit(tx: Transaction, write_source: str | None) -> PreparedCommit:
    """Compute all keys. The transaction's own view of the indexes is the one that will hold at its
    commit, because the index rows of written tables are in its read set."""
    metadata = tx.metadata
    changes = []
    for tablet_id, internal_id, (old, new) in tx.writes:
        if _is_unchanged(old, new):
            continue
        old_document = None if old is None else old.document
        keys = [
            _key_change(index, old_document, new) for index in _key_indexes(metadata, tablet_id)
        ]
        old_ts = None if old is None else old.ts
        changes.append(DocumentChange(tablet_id, internal_id, old_ts, old_document, new, keys))
    tables = metadata.tables
    changes.sort(key=lambda change: tables[change.tablet_id].name != TABLES)
    written = {change.tablet_id for change in changes}
    unresolved = {
        place: _key_indexes(metadata, change.tablet_id)
        for place, change in enumerate(changes)
        if change.new is not None and change.new.has_commit_ts
    }
    return PreparedCommit(
        begin_ts=tx.begin_ts,
        reads=tx.reads,
        changes=changes,
        memory_tablets=frozenset(t for t in written if tables[t].is_in_memory),
        write_source=write_source,
        reservation=tx.reservation,
        unresolved=unresolved,
    )


def _key_indexes(metadata: Metadata, tablet_id: TabletId) -> list[Index]:
    return [index for index in metadata.indexes[tablet_id] if index.kind is IndexKind.DATABASE]


def _is_unchanged(old: StoredDocument | None, new: Document | None) -> bool:
    """Inserted and deleted again, or changed back: nothing that anybody could see."""
    if old is None or new is None:
        return old is None and new is None
    return old.document.value_json == new.value_json


def _key_change(index: Index, old: Document | None, new: Document | None) -> KeyChange:
    return KeyChange(
        index.index_id,
        None if old is None else index_key(index, old),
        None if new is None else index_key(index, new),
    )
