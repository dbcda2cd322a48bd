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
    IndexRowKey,
    MemoryPersistence,
    Persistence,
    PostgresPersistence,
    SqlitePersistence,
    SummaryRow,
    WriteBatch,
)
from fenchel.runtime import Runtime
from tests.postgres_server import PostgresServer

TABLET = TabletId(b"t" * 16)
INDEX = IndexId(b"i" * 16)
NUMBER = 10_001
_LENGTHS = (*range(2_460, 2_505, 4), 2_599, 10_000)
# Before every revision.
START = (0, b"", b"")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def persistence(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Persistence]:
    opened: Persistence
    match request.param:
        case "memory":
            opened = MemoryPersistence()
        case "sqlite":
            opened = SqlitePersistence.open(tmp_path)
        case _:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            opened = await PostgresPersistence.open(await server.empty_database(), Runtime())
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


class TestBounds:
    async def test_long_keys_keep_their_order_in_every_interval(
        self, persistence: Persistence
    ) -> None:
        """Names of up to 10 kB around the length at which a storage splits its keys."""
        shared = "x" * 2_600
        stored = sorted(
            {"", "w", "y", shared, shared + "a", shared + "b", *("x" * n for n in _LENGTHS)}
            | {"x" * n + last for n in _LENGTHS for last in "ay"}
        )
        written = [document(place, name) for place, name in enumerate(stored)]
        await persistence.write(
            WriteBatch(
                documents=[row for each in written for row in batch(10, each).documents],
                index_rows=[row for each in written for row in batch(10, each).index_rows],
            )
        )
        model = sorted(stored, key=lambda name: key(written[stored.index(name)]))
        assert await names(persistence, 10) == model
        assert await names(persistence, 10, is_descending=True) == model[::-1]
        for first in range(0, len(model), 3):
            interval = Interval(
                key(written[stored.index(model[first])]),
                key(written[stored.index(model[-1 - first // 2])]),
            )
            expected = model[first : len(model) - 1 - first // 2]
            assert await names(persistence, 10, interval) == expected
            assert (
                await names(persistence, 10, interval, is_descending=True, limit=2)
                == (expected[::-1][:2])
            )

    async def test_versions_of_a_long_key_are_told_apart(self, persistence: Persistence) -> None:
        first, second = document(1, "x" * 10_000), document(1, "x" * 10_000 + "y")
        await persistence.write(batch(10, first))
        await persistence.write(batch(20, second, (10, first)))
        await persistence.write(WriteBatch(index_rows=batch(20, second, (10, first)).index_rows))
        assert await names(persistence, 15) == ["x" * 10_000]
        assert await names(persistence, 25) == ["x" * 10_000 + "y"]

    async def test_a_page_of_large_documents_ends_early(self, persistence: Persistence) -> None:
        large = [document(place, chr(97 + place) * 900_000) for place in range(12)]
        for ts, written in enumerate(large, start=1):
            await persistence.write(batch(ts, written))
        start, found, pages = b"", 0, 0
        while True:
            page = await persistence.load_index_page(
                INDEX, Interval(start, None), ts=20, is_descending=False, limit=100
            )
            found += len(page.revisions)
            pages += 1
            if not page.has_more:
                break
            start = page.revisions[-1].key + b"\x00"
        assert found == 12
        assert pages == (1 if isinstance(persistence, MemoryPersistence) else 3)

    async def test_a_batch_of_any_size_is_one_write(self, persistence: Persistence) -> None:
        """More than the 16 MiB that Postgres gets in one statement."""
        large = [document(place, chr(33 + place) * 900_000) for place in range(24)]
        await persistence.write(
            WriteBatch(
                documents=[row for each in large for row in batch(10, each).documents],
                index_rows=[
                    IndexRow(INDEX, key(document(place, "")), 10, False, TABLET, each.internal_id)
                    for place, each in enumerate(large)
                ],
                global_values={"key": "value"},
            )
        )
        page = await persistence.load_index_page(
            INDEX, ALL_KEYS, ts=10, is_descending=True, limit=2
        )
        assert [revision.document for revision in page.revisions] == [large[23], large[22]]
        assert await persistence.load_globals() == {"key": "value"}


class TestTheLog:
    """What retention and change streams read."""

    async def test_pages_follow_each_other_in_log_order(self, persistence: Persistence) -> None:
        first, second = document(1, "a"), document(1, "b")
        await persistence.write(batch(10, first))
        await persistence.write(batch(20, second, (10, first)))
        await persistence.write(deletion(30, (20, second)))
        await persistence.write(batch(30, document(2, "c")))
        await persistence.write(batch(40, document(3, "d")))
        found, has_more = await persistence.load_log_page(START, through_ts=30, limit=2)
        assert has_more
        while has_more:
            rows, has_more = await persistence.load_log_page(
                found[-1].position, through_ts=30, limit=2
            )
            found += rows
        ids = [row.internal_id[0] for row in found]
        assert [(row.ts, place) for row, place in zip(found, ids, strict=True)] == [
            *((10, 1), (20, 1), (30, 1), (30, 2))
        ]
        assert [row.document for row in found] == [first, second, None, document(2, "c")]
        assert [row.previous for row in found] == [None, first, second, None]
        assert [row.prev_ts for row in found] == [None, 10, 20, None]

    async def test_a_replaced_revision_may_be_gone(self, persistence: Persistence) -> None:
        first, second = document(1, "a"), document(1, "b")
        await persistence.write(batch(10, first))
        await persistence.write(batch(20, second, (10, first)))
        key_of_first = (10, TABLET, first.internal_id)
        await persistence.write(WriteBatch(expired_documents=[key_of_first]))
        (row,), has_more = await persistence.load_log_page(START, through_ts=50, limit=5)
        assert (row.document, row.prev_ts, row.previous, has_more) == (second, 10, None, False)

    async def test_deletions_are_known_by_id_until_they_expire(
        self, persistence: Persistence
    ) -> None:
        kept, gone = document(1, "kept"), document(2, "gone")
        await persistence.write(batch(10, kept))
        await persistence.write(batch(20, gone))
        ids = [(TABLET, kept.internal_id), (TABLET, gone.internal_id)]
        assert [await persistence.was_deleted(*each) for each in ids] == [False, False]
        await persistence.write(deletion(30, (20, gone)))
        assert [await persistence.was_deleted(*each) for each in ids] == [False, True]
        assert not await persistence.was_deleted(b"another tablet!!", gone.internal_id)
        await persistence.write(WriteBatch(expired_documents=[(30, TABLET, gone.internal_id)]))
        assert not await persistence.was_deleted(TABLET, gone.internal_id)

    async def test_index_rows_show_all_versions_until_they_expire(
        self, persistence: Persistence
    ) -> None:
        first, second = document(1, "a"), document(1, "b")
        await persistence.write(batch(10, first))
        await persistence.write(batch(20, second, (10, first)))
        rows = await persistence.load_index_rows(INDEX, limit=10)
        assert [(row.key, row.ts, row.is_deleted) for row in rows] == [
            (key(first), 10, False),
            (key(first), 20, True),
            (key(second), 20, False),
        ]
        assert {(row.tablet_id, row.internal_id) for row in rows} == {(TABLET, first.internal_id)}
        assert await persistence.load_index_rows(INDEX, limit=1) == rows[:1]
        expired = [IndexRowKey(row.index_id, row.key, row.ts) for row in rows[:2]]
        for _ in range(2):
            await persistence.write(WriteBatch(expired_index_rows=expired))
        assert await persistence.load_index_rows(INDEX, limit=10) == rows[2:]
        assert await names(persistence, 25) == ["b"]


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
