"""Copies of system indexes: right in both orders, loaded once for all, kept within a size."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.documents import (
    ALL_KEYS,
    Document,
    InternalId,
    Interval,
    TabletId,
    Timestamp,
    encode_document_id,
)
from fenchel.errors import FenchelError
from fenchel.function_runner import (
    FunctionRunnerInMemoryIndexes,
    FunctionRunnerMetrics,
    InMemoryIndexCache,
)
from fenchel.function_runner import in_memory_indexes as module
from fenchel.function_runner.in_memory_indexes import IndexKey, InMemoryIndex
from fenchel.persistence import (
    DocumentRow,
    IndexPage,
    IndexRow,
    MemoryPersistence,
    Revision,
    WriteBatch,
)
from fenchel.values import Value

INDEX = b"i" * 16
TABLET = TabletId(b"t" * 16)


def document(number: int) -> Document:
    internal_id = InternalId(number.to_bytes(16, "big"))
    id_text = encode_document_id(10_001, internal_id)
    value: dict[str, Value] = {"_id": id_text, "_creationTime": 1.0, "n": float(number)}
    return Document.create(TABLET, 10_001, internal_id, value)


def batch(ts: int, *numbers: int) -> WriteBatch:
    documents = [document(number) for number in numbers]
    return WriteBatch(
        documents=[DocumentRow(ts, TABLET, d.internal_id, d, None) for d in documents],
        index_rows=[
            IndexRow(INDEX, d.internal_id, ts, False, TABLET, d.internal_id) for d in documents
        ],
    )


class SlowPersistence(MemoryPersistence):
    """Counts the pages that are loaded; waits for `gate`, fails if told so."""

    def __init__(self) -> None:
        super().__init__()
        self.page_count = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_broken = False

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        self.page_count += 1
        await self.gate.wait()
        if self.is_broken:
            raise OSError("broken")
        return await super().load_index_page(
            index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )


@pytest.fixture
async def persistence() -> SlowPersistence:
    opened = SlowPersistence()
    await opened.write(batch(10, *range(0, 2_500, 2)))
    await opened.write(batch(20, 1))
    return opened


def sample(metrics: FunctionRunnerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@given(
    numbers=st.sets(st.integers(0, 20)),
    start=st.integers(0, 21),
    end=st.integers(0, 21) | st.none(),
    limit=st.integers(1, 25),
    is_descending=st.booleans(),
)
def test_a_range_is_what_the_sorted_documents_say(
    numbers: set[int], start: int, end: int | None, limit: int, is_descending: bool
) -> None:
    revisions = [Revision(bytes([n]), 10, document(n)) for n in sorted(numbers)]
    index = InMemoryIndex(keys=[r.key for r in revisions], revisions=revisions, size_bytes=0)
    interval = Interval(bytes([start]), None if end is None else bytes([end]))
    wanted = [n for n in sorted(numbers) if start <= n and (end is None or n < end)]
    if is_descending:
        wanted.reverse()
    page = index.range(interval, is_descending=is_descending, limit=limit)
    assert [r.key[0] for r in page.revisions] == wanted[:limit]
    assert page.has_more == (len(wanted) > limit)


@pytest.mark.parametrize("is_descending", [False, True])
async def test_pages_are_those_of_the_persistence(
    persistence: SlowPersistence, is_descending: bool
) -> None:
    indexes = FunctionRunnerInMemoryIndexes(
        InMemoryIndexCache(persistence, FunctionRunnerMetrics())
    )
    for ts, modified in ((10, 10), (15, 10), (20, 20)):
        for limit in (1, 3, 5_000):
            expected = await persistence.load_index_page(
                INDEX, ALL_KEYS, ts=ts, is_descending=is_descending, limit=limit
            )
            page = await indexes.load_page(
                INDEX,
                ALL_KEYS,
                ts=Timestamp(ts),
                last_modified_ts=Timestamp(modified),
                is_descending=is_descending,
                limit=limit,
            )
            assert page == expected


async def test_every_snapshot_between_two_writes_uses_one_copy(
    persistence: SlowPersistence,
) -> None:
    metrics = FunctionRunnerMetrics()
    cache = InMemoryIndexCache(persistence, metrics)
    old = IndexKey(INDEX, Timestamp(10))
    assert await cache.get(old, Timestamp(12)) is await cache.get(old, Timestamp(19))
    pages_of_one_load = persistence.page_count
    new = await cache.get(IndexKey(INDEX, Timestamp(20)), Timestamp(21))
    assert persistence.page_count == 2 * pages_of_one_load
    assert len(new.keys) == 1_251
    assert sample(metrics, "fenchel_memory_index_cache_get_total", hit="true") == 1
    assert sample(metrics, "fenchel_memory_index_cache_get_total", hit="false") == 2
    assert sample(metrics, "fenchel_memory_index_cache_load_seconds_count") == 2
    cache.check_invariants()
    held = sample(metrics, "fenchel_memory_index_cache_bytes")
    assert held is not None
    assert held > 2_500 * 100


async def test_readers_who_miss_together_share_one_load(persistence: SlowPersistence) -> None:
    cache = InMemoryIndexCache(persistence, FunctionRunnerMetrics())
    key = IndexKey(INDEX, Timestamp(10))
    await cache.get(key, Timestamp(10))
    pages_of_one_load = persistence.page_count
    fresh = InMemoryIndexCache(persistence, FunctionRunnerMetrics())
    persistence.gate.clear()
    readers = [
        asyncio.create_task(fresh.get(key, Timestamp(10 + offset)), name=f"reader {offset}")
        for offset in range(5)
    ]
    await asyncio.sleep(0)
    readers[0].cancel()
    persistence.gate.set()
    found = await asyncio.gather(*readers, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(index is found[1] for index in found[2:])
    assert persistence.page_count == 2 * pages_of_one_load


async def test_the_least_recently_used_copy_goes_first(persistence: SlowPersistence) -> None:
    cache = InMemoryIndexCache(persistence, FunctionRunnerMetrics(), bytes_max=700_000)
    for modified in (10, 11, 10, 12, 10):
        await cache.get(IndexKey(INDEX, Timestamp(modified)), Timestamp(modified))
        cache.check_invariants()
    loads = persistence.page_count
    await cache.get(IndexKey(INDEX, Timestamp(10)), Timestamp(10))
    assert persistence.page_count == loads, "used last, so still here"
    await cache.get(IndexKey(INDEX, Timestamp(11)), Timestamp(11))
    assert persistence.page_count > loads


async def test_a_failed_load_is_told_and_tried_again(persistence: SlowPersistence) -> None:
    cache = InMemoryIndexCache(persistence, FunctionRunnerMetrics())
    key = IndexKey(INDEX, Timestamp(10))
    persistence.is_broken = True
    with pytest.raises(OSError, match="broken"):
        await cache.get(key, Timestamp(10))
    persistence.is_broken = False
    assert len((await cache.get(key, Timestamp(10))).keys) == 1_250


async def test_too_many_loads_are_refused_and_closing_ends_the_others(
    persistence: SlowPersistence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOADS_MAX", 2)
    cache = InMemoryIndexCache(persistence, FunctionRunnerMetrics())
    persistence.gate.clear()
    readers = [
        asyncio.create_task(cache.get(IndexKey(INDEX, Timestamp(ts)), Timestamp(ts)))
        for ts in (10, 11, 11)
    ]
    await asyncio.sleep(0)
    with pytest.raises(FenchelError) as caught:
        await cache.get(IndexKey(INDEX, Timestamp(12)), Timestamp(12))
    assert caught.value.code == "TooManyIndexLoads"
    await cache.close()
    ended = await asyncio.gather(*readers, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended)
