"""The newest revisions in memory never differ from what the indexes say."""

from __future__ import annotations

from fenchel.database.commit import DocumentChange
from fenchel.database.latest_documents import LatestDocuments
from fenchel.database.types import StoredDocument
from fenchel.documents import Document, InternalId, TabletId, Timestamp

TABLET, ID = TabletId(b"t" * 16), InternalId(b"i" * 16)
OTHER = InternalId(b"o" * 16)


def revision(ts: int, internal_id: InternalId = ID) -> StoredDocument:
    document = Document(
        tablet_id=TABLET,
        internal_id=internal_id,
        id_text="id",
        creation_time=1.0,
        value_json=str(ts),
        size_bytes=4,
    )
    return StoredDocument(Timestamp(ts), document)


def commit(latest: LatestDocuments, stored: StoredDocument) -> None:
    internal_id = stored.document.internal_id
    latest.apply(stored.ts, [DocumentChange(TABLET, internal_id, None, None, stored.document, [])])


def delete(latest: LatestDocuments, ts: int, internal_id: InternalId = ID) -> None:
    latest.apply(Timestamp(ts), [DocumentChange(TABLET, internal_id, None, None, None, [])])


def found_ts(latest: LatestDocuments, ts: int) -> int | None:
    found = latest.find(TABLET, ID, Timestamp(ts))
    return None if found is None else found.ts


def test_what_a_snapshot_found_serves_all_snapshots_since_that_revision() -> None:
    latest = LatestDocuments(10_000, Timestamp(10))
    latest.add(revision(5), Timestamp(10))
    assert [found_ts(latest, ts) for ts in (4, 5, 99)] == [None, 5, 5]


def test_a_commit_takes_the_place_of_what_it_replaces() -> None:
    latest = LatestDocuments(10_000, Timestamp(10))
    latest.add(revision(5), Timestamp(10))
    commit(latest, revision(20))
    assert [found_ts(latest, ts) for ts in (19, 20)] == [None, 20]
    # A read that had begun before the commit ends after it.
    latest.add(revision(5), Timestamp(10))
    assert found_ts(latest, 30) == 20


def test_a_deleted_document_does_not_come_back_through_a_late_read() -> None:
    latest = LatestDocuments(10_000, Timestamp(10))
    latest.add(revision(5), Timestamp(10))
    delete(latest, 20)
    latest.add(revision(5), Timestamp(10))
    assert found_ts(latest, 30) is None


def test_a_late_read_does_not_take_the_place_of_an_evicted_commit() -> None:
    latest = LatestDocuments(700, Timestamp(10))
    commit(latest, revision(20))
    commit(latest, revision(21, OTHER))
    assert found_ts(latest, 30) is None
    latest.add(revision(5), Timestamp(19))
    assert found_ts(latest, 30) is None
    latest.add(revision(20), Timestamp(21))
    assert found_ts(latest, 30) == 20
    latest.check_invariants()
