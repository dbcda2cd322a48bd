"""The contract of `Persistence`, for every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fenchel.documents import (
    ALL_KEYS,
    Document,
    IndexId,
    InternalId,
    Interval,
    TabletId,
    encode_document_id,
    encode_index_key,
)
from fenchel.persistence import (
    DocumentRow,
    IndexRow,
    MemoryPersistence,
    Persistence,
    SqlitePersistence,
    SummaryRow,
    WriteBatch,
)

TABLET = TabletId(b"t" * 16)
INDEX = IndexId(b"i" * 16)
NUMBER = 10_001


@pytest.fixture(params=["memory", "sqlite"])
async def persistence(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Persistence]:
    opened: Persistence = MemoryPersistence()
    if request.param == "sqlite":
        opened = SqlitePersistence.open(tmp_path)
    yield opened
    await opened.close()


def document(place: int, name: str) -> Document:
    internal_id = InternalId(bytes([place]) * 16)
    return Document.create(
        TABLET,
        NUMBER,
        internal_id,
        {
            "_id": encode_document_id(NUMBER, internal_id),
            "_creationTime": 1_700_000_000_000.25,
            "name": name,
        },
    )


def key(written: Document) -> bytes:
    return encode_index_key((("name",),), written.value, written.id_text)


def batch(ts: int, written: Document, replaced: tuple[int, Document] | None = None) -> WriteBatch:
    """One document written at `ts`, with its entries in the index by name."""
    ids = (TABLET, written.internal_id)
    rows = [IndexRow(INDEX, key(written), ts, False, *ids)]
    if replaced is not None and key(replaced[1]) != key(written):
        rows.append(IndexRow(INDEX, key(replaced[1]), ts, True, *ids))
    prev_ts = None if replaced is None else replaced[0]
    return WriteBatch(documents=[DocumentRow(ts, *ids, written, prev_ts)], index_rows=rows)


def deletion(ts: int, deleted: tuple[int, Document]) -> WriteBatch:
    prev_ts, old = deleted
    ids = (TABLET, old.internal_id)
    return WriteBatch(
        documents=[DocumentRow(ts, *ids, None, prev_ts)],
        index_rows=[IndexRow(INDEX, key(old), ts, True, *ids)],
    )


async def names(
    persistence: Persistence,
    ts: int,
    interval: Interval = ALL_KEYS,
    *,
    is_descending: bool = False,
    limit: int = 100,
) -> list[str]:
    page = await persistence.load_index_page(
        INDEX, interval, ts=ts, is_descending=is_descending, limit=limit
    )
    return [str(revision.document.value["name"]) for revision in page.revisions]


class TestSnapshots:
    """Database specification 9.2."""

    async def test_a_reader_sees_the_newest_revision_at_its_timestamp(
        self, persistence: Persistence
    ) -> None:
        first, second = document(1, "a"), document(1, "b")
        await persistence.write(batch(10, first))
        await persistence.write(batch(20, second, (10, first)))
        await persistence.write(deletion(30, (20, second)))
        seen = [await names(persistence, ts) for ts in (9, 10, 19, 20, 29, 30)]
        assert seen == [[], ["a"], ["a"], ["b"], ["b"], []]

    async def test_an_update_that_keeps_its_key_shows_the_new_content(
        self, persistence: Persistence
    ) -> None:
        await persistence.write(batch(10, document(1, "a")))
        await persistence.write(batch(20, document(1, "a"), (10, document(1, "a"))))
        page = await persistence.load_index_page(
            INDEX, ALL_KEYS, ts=25, is_descending=False, limit=10
        )
        assert [revision.ts for revision in page.revisions] == [20]

    async def test_a_late_index_entry_does_not_hide_a_newer_one(
        self, persistence: Persistence
    ) -> None:
        """What a backfill relies on: entries at the document's own, older timestamp."""
        first, second = document(1, "a"), document(1, "b")
        await persistence.write(WriteBatch(documents=batch(10, first).documents))
        await persistence.write(batch(20, second, (10, first)))
        await persistence.write(WriteBatch(index_rows=batch(10, first).index_rows))
        await persistence.write(WriteBatch(index_rows=batch(10, first).index_rows))
        assert await names(persistence, 15) == ["a"]
        assert await names(persistence, 25) == ["b"]


class TestPages:
    async def test_rows_come_in_key_order_or_reversed(self, persistence: Persistence) -> None:
        for place, name in enumerate("cab", start=1):
            await persistence.write(batch(place, document(place, name)))
        assert await names(persistence, 5) == ["a", "b", "c"]
        assert await names(persistence, 5, is_descending=True) == ["c", "b", "a"]

    async def test_the_interval_is_half_open(self, persistence: Persistence) -> None:
        for place, name in enumerate("abc", start=1):
            await persistence.write(batch(place, document(place, name)))
        low, high = key(document(1, "a")), key(document(3, "c"))
        assert await names(persistence, 5, Interval(low, high)) == ["a", "b"]
        assert await names(persistence, 5, Interval(high, low)) == []

    async def test_a_page_says_whether_more_may_follow(self, persistence: Persistence) -> None:
        for place, name in enumerate("abc", start=1):
            await persistence.write(batch(place, document(place, name)))
        short = await persistence.load_index_page(
            INDEX, ALL_KEYS, ts=5, is_descending=False, limit=2
        )
        whole = await persistence.load_index_page(
            INDEX, ALL_KEYS, ts=5, is_descending=False, limit=4
        )
        assert (len(short.revisions), short.has_more) == (2, True)
        assert (len(whole.revisions), whole.has_more) == (3, False)

    async def test_values_pass_through_as_they_were_written(self, persistence: Persistence) -> None:
        written = document(1, "ü\u0000\U0001f600")
        await persistence.write(batch(10, written))
        page = await persistence.load_index_page(
            INDEX, ALL_KEYS, ts=10, is_descending=False, limit=1
        )
        assert page.revisions[0].document == written
        assert page.revisions[0].key == key(written)


class TestTheRest:
    async def test_an_empty_persistence_has_nothing(self, persistence: Persistence) -> None:
        assert await persistence.load_latest_ts() == 0
        assert await persistence.load_globals() == {}
        assert await persistence.load_summaries() == []
        assert await names(persistence, 100) == []

    async def test_globals_and_summaries_keep_the_newest_value(
        self, persistence: Persistence
    ) -> None:
        for count in (1, 2):
            await persistence.write(
                WriteBatch(
                    summaries=[SummaryRow(TABLET, count, 10 * count)],
                    global_values={"key": str(count)},
                )
            )
        assert await persistence.load_globals() == {"key": "2"}
        assert await persistence.load_summaries() == [SummaryRow(TABLET, 2, 20)]

    async def test_the_latest_timestamp_is_that_of_the_log(self, persistence: Persistence) -> None:
        await persistence.write(batch(30, document(1, "a")))
        await persistence.write(batch(40, document(2, "b")))
        assert await persistence.load_latest_ts() == 40

    async def test_closing_twice_is_harmless(self, persistence: Persistence) -> None:
        await persistence.close()
        await persistence.close()
