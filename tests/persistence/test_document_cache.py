from fenchel.documents import Document, InternalId, TabletId
from fenchel.persistence import RevisionKey
from fenchel.persistence.document_cache import DocumentCache

TABLET = TabletId(b"t" * 16)


def document(text: str) -> Document:
    return Document(
        tablet_id=TABLET,
        internal_id=InternalId(b"i" * 16),
        id_text="id",
        creation_time=1.0,
        value_json=text,
        size_bytes=len(text),
    )


def key(ts: int) -> RevisionKey:
    return ts, TABLET, b"i" * 16


def test_it_finds_the_revision_and_no_other() -> None:
    cache = DocumentCache(1 << 20)
    first = document("1")
    cache.add(key(1), first)
    assert cache.find(key(1)) is first
    assert cache.find(key(2)) is None


def test_adding_a_revision_twice_changes_nothing() -> None:
    cache = DocumentCache(1 << 20)
    cache.add(key(1), document("1"))
    cache.add(key(1), document("1"))
    cache.check_invariants()


def test_the_least_recently_used_goes_when_space_is_short() -> None:
    cache = DocumentCache(2_000)
    for ts in (1, 2, 3):
        cache.add(key(ts), document("x"))
    assert cache.find(key(1)) is not None
    cache.add(key(4), document("x"))
    assert cache.find(key(1)) is not None
    assert cache.find(key(2)) is None
    cache.check_invariants()


def test_a_document_larger_than_the_limit_is_not_kept() -> None:
    cache = DocumentCache(1_000)
    cache.add(key(1), document("x" * 1_000))
    assert cache.find(key(1)) is None
    cache.check_invariants()
