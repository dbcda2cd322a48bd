"""A finished transaction, taken apart for the committer: pure, and done before its serial step.

Every commit makes a dozen of these objects, so they are structs, each a tenth of the time that a
dataclass takes to be made (decision 0026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

import msgspec

from fenchel.database.metadata import Index, Metadata
from fenchel.database.read_set import IndexWrite, ReadSet
from fenchel.database.reservations import Reservation
from fenchel.database.system_tables import TABLES
from fenchel.database.types import StoredDocument
from fenchel.documents import Document, IndexId, InternalId, TabletId, Timestamp
from fenchel.persistence import DocumentRow, IndexRow, WriteBatch
from fenchel.values import encode_sort_key

if TYPE_CHECKING:
    from fenchel.database.transaction import Transaction


class KeyChange(msgspec.Struct, frozen=True, gc=False):
    """Where a document stood, and stands, in one index."""

    index_id: IndexId
    old_key: bytes | None
    new_key: bytes | None


class DocumentChange(msgspec.Struct, frozen=True):
    """One written document with its keys in every database index of its table."""

    tablet_id: TabletId
    internal_id: InternalId
    old_ts: Timestamp | None
    old: Document | None
    new: Document | None
    keys: list[KeyChange]


class PreparedCommit(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the committer needs; it never looks at the transaction again.

    `changes` is ordered so that tables come before what refers to them; without any the commit only
    moves the repeatable timestamp. `reservation` is the turn that the transaction began in, if any.
    `unresolved` maps the places of changes that wait for the commit's timestamp to their table's
    indexes; until `at` their keys are those of the greatest Int64.
    """

    begin_ts: Timestamp
    reads: ReadSet
    changes: Sequence[DocumentChange]
    memory_tablets: Set[TabletId]
    write_source: str | None
    reservation: Reservation | None
    unresolved: Mapping[int, Sequence[Index]] = msgspec.field(default_factory=dict)

    def at(self, ts: Timestamp) -> PreparedCommit:
        """This commit with `ts` in every document that asks for its commit timestamp."""
        if not self.unresolved:
            return self
        changes = list(self.changes)
        for place, indexes in self.unresolved.items():
            change = changes[place]
            assert change.new is not None
            new = change.new.with_commit_ts(ts)
            keys = _key_changes(indexes, change.old, new)
            changes[place] = msgspec.structs.replace(change, new=new, keys=keys)
        return msgspec.structs.replace(self, changes=changes, unresolved={})

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
        make = DocumentRow._make
        return [make((ts, c.tablet_id, c.internal_id, c.new, c.old_ts)) for c in self.changes]

    def index_rows(self, ts: Timestamp) -> list[IndexRow]:
        """Each new key at `ts`; and each key left behind, deleted (specification 9.1)."""
        rows = []
        make = IndexRow._make
        for change in self.changes:
            ids = (change.tablet_id, change.internal_id)
            for key in change.keys:
                old_key, new_key = key.old_key, key.new_key
                if new_key is not None:
                    rows.append(make((key.index_id, new_key, ts, False, *ids)))
                if old_key is not None and old_key != new_key:
                    rows.append(make((key.index_id, old_key, ts, True, *ids)))
        return rows

    def memory_rows(self, ts: Timestamp) -> WriteBatch | None:
        """The part of this commit's rows that belongs to tables held in memory, if any does."""
        tablets = self.memory_tablets
        if not tablets:
            return None
        return WriteBatch(
            documents=[row for row in self.document_rows(ts) if row.tablet_id in tablets],
            index_rows=[row for row in self.index_rows(ts) if row.tablet_id in tablets],
        )


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
    for tablet_id, internal_id, write in tx.writes:
        old, new = write.old, write.new
        if _is_unchanged(old, new):
            continue
        old_ts, old_document = (None, None) if old is None else (old.ts, old.document)
        keys = _key_changes(metadata.database_indexes(tablet_id), old_document, new)
        changes.append(DocumentChange(tablet_id, internal_id, old_ts, old_document, new, keys))
    tables = metadata.tables
    if len(changes) > 1:
        changes.sort(key=lambda change: tables[change.tablet_id].name != TABLES)
    memory_tablets = set()
    unresolved = {}
    for place, change in enumerate(changes):
        if tables[change.tablet_id].is_in_memory:
            memory_tablets.add(change.tablet_id)
        if change.new is not None and change.new.has_commit_ts:
            unresolved[place] = metadata.database_indexes(change.tablet_id)
    return PreparedCommit(
        begin_ts=tx.begin_ts,
        reads=tx.reads,
        changes=changes,
        memory_tablets=memory_tablets,
        write_source=write_source,
        reservation=tx.reservation,
        unresolved=unresolved,
    )


def _is_unchanged(old: StoredDocument | None, new: Document | None) -> bool:
    """Inserted and deleted again, or changed back: nothing that anybody could see."""
    if old is None or new is None:
        return old is None and new is None
    return old.document.value_json == new.value_json


def _key_changes(
    indexes: Sequence[Index], old: Document | None, new: Document | None
) -> list[KeyChange]:
    """Both revisions have the same id."""
    present = new or old
    assert present is not None
    id_key = encode_sort_key(present.id_text)
    new_value = None if new is None else new.value
    if old is None:
        return [KeyChange(i.index_id, None, i.encode_key(new_value, id_key)) for i in indexes]
    old_value = old.value
    if new is None:
        return [KeyChange(i.index_id, i.encode_key(old_value, id_key), None) for i in indexes]
    return [
        KeyChange(i.index_id, i.encode_key(old_value, id_key), i.encode_key(new_value, id_key))
        for i in indexes
    ]
