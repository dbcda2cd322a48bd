"""Streams: operators, pages ahead, and recording what was consumed (specification 2.6, 7.2)."""

from __future__ import annotations

import pytest

from fenchel.database import Database, StreamPage
from fenchel.errors import FenchelError
from tests.database.helpers import (
    field_equals,
    index_range,
    insert,
    is_invalidated,
    limit,
    patch,
    push,
    query,
    scan,
    schema,
    where,
)


def numbers(page: StreamPage) -> list[object]:
    return [document.value["n"] for document in page.documents]


async def test_operators_apply_in_their_order(any_database: Database) -> None:
    await insert(any_database, "items", *({"n": float(n % 2)} for n in range(6)))
    tx = any_database.begin()
    assert await query(tx, scan("items", limit(3), field_equals("n", 1))) == [1.0]
    assert await query(tx, scan("items", field_equals("n", 1), limit(2))) == [1.0, 1.0]
    assert await query(tx, scan("items", limit(0))) == []


async def test_filtered_rows_count_as_read(any_database: Database) -> None:
    ids = await insert(any_database, "items", *({"n": float(n)} for n in range(5)))
    tx = any_database.begin()
    stream = tx.user().open_stream(scan("items", field_equals("n", 2)))
    assert await stream.next() is not None
    assert tx.usage.documents_read == 3
    await patch(any_database, ids[0], n=7.0)
    assert is_invalidated(any_database, tx)


async def test_a_page_records_nothing_until_it_is_consumed(any_database: Database) -> None:
    await insert(any_database, "items", *({"n": float(n)} for n in range(5)))
    tx = any_database.begin()
    stream = tx.user().open_stream(scan("items", limit(4)))
    page = await stream.fetch_page()
    assert numbers(page) == [0.0, 1.0, 2.0, 3.0]
    assert page.is_done
    assert tx.usage.documents_read == 0
    stream.record_consumed(2, False)
    assert tx.usage.documents_read == 2
    stream.record_consumed(2, False)
    stream.record_consumed(4, True)
    assert tx.usage.documents_read == 4
    await insert(any_database, "items", {"n": 5.0})
    assert not is_invalidated(any_database, tx)


async def test_pages_follow_each_other(any_database: Database) -> None:
    await insert(any_database, "items", *({"n": float(n)} for n in range(250)))
    tx = any_database.begin()
    stream = tx.user().open_stream(scan("items"))
    found, is_done = [], False
    while not is_done:
        page = await stream.fetch_page()
        found += numbers(page)
        is_done = page.is_done
    assert found == [float(n) for n in range(250)]
    stream.record_consumed(250, True)
    await insert(any_database, "items", {"n": 1.0})
    assert is_invalidated(any_database, tx)


async def test_consuming_more_than_was_given_is_a_bug(database: Database) -> None:
    await insert(database, "items", {"n": 1.0})
    stream = database.begin().user().open_stream(scan("items"))
    await stream.fetch_page()
    with pytest.raises(AssertionError):
        stream.record_consumed(2, False)


async def test_a_failing_filter_fails_when_its_row_is_wanted(database: Database) -> None:
    await insert(database, "items", {"n": 1.0}, {"n": "x"}, {"n": 2.0})
    expression = where({"$gt": [{"$add": [{"$field": "n"}, {"$literal": 1}]}, {"$literal": 0}]})
    stream = database.begin().user().open_stream(scan("items", expression))
    assert numbers(await stream.fetch_page()) == [1.0]
    for _ in range(2):
        with pytest.raises(FenchelError) as caught:
            await stream.fetch_page()
        assert caught.value.message == 'Cannot add "x" (type string) and 1.0 (type float64)'


async def test_ranges_with_missing_fields(any_database: Database) -> None:
    """11.3 and specification 4.4: undefined is lowest and differs from null."""
    await push(any_database, schema({"items": {"indexes": {"by_n": ["n"]}}}, validation=False))
    await insert(any_database, "items", {}, {"n": None}, {"n": 0.0}, {"n": -0.0}, {"n": "a"})
    tx = any_database.begin()
    undefined = {"$undefined": None}
    assert await query(tx, index_range("items.by_n", ("n", "Eq", undefined))) == [None]
    assert await query(tx, index_range("items.by_n", ("n", "Gt", None))) == [-0.0, 0.0, "a"]
    assert len(await query(tx, index_range("items.by_n", ("n", "Lt", 0)))) == 3
    assert len(await query(tx, index_range("items.by_n", ("n", "Eq", 0)))) == 1
    assert await query(tx, index_range("items.by_n", ("n", "Gt", 5), ("n", "Lt", 3))) == []


@pytest.mark.parametrize(
    ("ast", "code"),
    [
        (index_range("items.nope"), "IndexNotFoundError"),
        (index_range("items"), "InvalidArgument"),
        ({"source": {"type": "Other"}, "operators": []}, "InvalidArgument"),
        (scan("items", {}), "InvalidArgument"),
        (scan("items", limit(-1)), "InvalidArgument"),
        (scan("items", *[limit(1)] * 257), "InvalidArgument"),
        (
            {"source": {"type": "Search", "indexName": "items.s", "filters": []}, "operators": []},
            "SearchIndexesUnavailable",
        ),
    ],
)
async def test_queries_that_cannot_be_compiled(
    database: Database, ast: dict[str, object], code: str
) -> None:
    await insert(database, "items", {})
    with pytest.raises(FenchelError) as caught:
        database.begin().user().open_stream(ast)
    assert caught.value.code == code
