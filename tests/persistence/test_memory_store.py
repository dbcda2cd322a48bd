"""Pruning of the in-memory tables: no retained snapshot may notice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fenchel.documents import ALL_KEYS, Document, IndexId, InternalId, TabletId, encode_document_id
from fenchel.persistence import DocumentRow, IndexRow, MemoryStore, WriteBatch

TABLET = TabletId(b"t" * 16)
INDEX = IndexId(b"i" * 16)


def document(place: int) -> Document:
    internal_id = InternalId(bytes([place]) * 16)
    id_text = encode_document_id(600, internal_id)
    return Document.create(TABLET, 600, internal_id, {"_id": id_text, "_creationTime": 1.5})


def ids_at(store: MemoryStore, ts: int) -> list[bytes]:
    page = store.load_page(INDEX, ALL_KEYS, ts=ts, is_descending=False, limit=100)
    return [revision.document.internal_id for revision in page.revisions]


@given(writes=st.lists(st.tuples(st.integers(1, 4), st.booleans())), prune_ts=st.integers(0, 30))
def test_pruning_changes_no_snapshot_from_its_timestamp_on(
    writes: list[tuple[int, bool]], prune_ts: int
) -> None:
    store, model = MemoryStore(keeps_history=False), MemoryStore(keeps_history=True)
    live: dict[int, int] = {}
    for ts, (place, is_deleted) in enumerate(writes, start=1):
        if is_deleted and place not in live:
            continue
        written = None if is_deleted else document(place)
        ids = (TABLET, document(place).internal_id)
        batch = WriteBatch(
            documents=[DocumentRow(ts, *ids, written, live.get(place))],
            index_rows=[IndexRow(INDEX, bytes([place]), ts, is_deleted, *ids)],
        )
        store.apply(batch)
        model.apply(batch)
        live[place] = ts
        if is_deleted:
            del live[place]
    store.prune(prune_ts)
    store.check_invariants()
    for ts in range(prune_ts, len(writes) + 2):
        assert ids_at(store, ts) == ids_at(model, ts)
