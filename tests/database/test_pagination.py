"""Pages of a query (execution specification 2.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fenchel.database import (
    Cursor,
    Database,
    PageRequest,
    PageResult,
    PageStatus,
    decode_cursor,
    encode_cursor,
)
from fenchel.errors import FenchelError
from tests.database.helpers import (
    field_equals,
    index_range,
    insert,
    is_invalidated,
    push,
    scan,
    schema,
)


def numbers(result: PageResult) -> list[object]:
    return [document.value["n"] for document in result.page]


async def page(database: Database, ast: dict[str, Any], size: int, **rest: Any) -> PageResult:
    request = PageRequest(query=ast, page_size=size, **rest)
    return await database.begin().user().paginate(request)


async def filled(database: Database, count: int) -> None:
    await insert(database, "items", *({"n": float(n)} for n in range(count)))


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_cover_everything_once(any_database: Database, order: str) -> None:
    await filled(any_database, 7)
    found: list[object] = []
    cursor: Cursor | None = None
    sizes = []
    while cursor is None or not cursor.is_end:
        result = await page(any_database, scan("items", order=order), 3, cursor=cursor)
        found += numbers(result)
        sizes.append(len(result.page))
        assert result.is_done == result.continue_cursor.is_end
        cursor = decode_cursor(encode_cursor(result.continue_cursor))
    expected = [float(n) for n in range(7)]
    assert found == (expected if order == "asc" else expected[::-1])
    assert sizes == [3, 3, 1]
    assert (await page(any_database, scan("items", order=order), 3, cursor=cursor)).page == []


async def test_a_cursor_from_before_its_index_changed_is_stale(database: Database) -> None:
    """The same query text, but keys that mean something else."""
    await filled(database, 4)
    await push(database, schema({"items": {"indexes": {"by": ["n"]}}}))
    first = await page(database, index_range("items.by"), 2)
    await push(database, schema({"items": {"indexes": {"by": ["n", "m"]}}}))
    with pytest.raises(FenchelError) as caught:
        await page(database, index_range("items.by"), 2, cursor=first.continue_cursor)
    assert caught.value.code == "InvalidCursor"
    assert caught.value.data_json is not None
    journal = await page(
        database, index_range("items.by"), 3, previous_journal_end=first.continue_cursor
    )
    assert numbers(journal) == [0.0, 1.0, 2.0], "an old journal is as none"


async def test_an_end_cursor_keeps_pages_gapless(any_database: Database) -> None:
    await filled(any_database, 6)
    first = await page(any_database, scan("items"), 2)
    second = await page(any_database, scan("items"), 2, cursor=first.continue_cursor)
    again = await page(
        any_database, scan("items"), 1, end_cursor=second.continue_cursor, max_rows=1
    )
    assert numbers(again) == [0.0, 1.0, 2.0, 3.0]
    journal = await page(any_database, scan("items"), 1, previous_journal_end=first.continue_cursor)
    assert numbers(journal) == [0.0, 1.0]


async def test_a_page_depends_on_its_part_only(any_database: Database) -> None:
    await filled(any_database, 3)
    for size, matters in ((2, False), (5, True)):
        tx = any_database.begin()
        await tx.user().paginate(PageRequest(query=scan("items"), page_size=size))
        await insert(any_database, "items", {"n": 9.0})
        assert is_invalidated(any_database, tx) == matters


async def test_filters_count_scanned_rows(any_database: Database) -> None:
    await insert(any_database, "items", *({"n": float(n % 2)} for n in range(10)))
    result = await page(any_database, scan("items", field_equals("n", 1)), 2, max_rows=3)
    assert numbers(result) == [1.0]
    assert result.page_status is PageStatus.SPLIT_REQUIRED
    assert result.split_cursor is not None
    rest = await page(
        any_database, scan("items", field_equals("n", 1)), 9, cursor=result.continue_cursor
    )
    assert numbers(rest) == [1.0] * 4


async def test_bytes_end_a_page(any_database: Database) -> None:
    await filled(any_database, 5)
    result = await page(any_database, scan("items"), 5, max_bytes=1)
    assert numbers(result) == [0.0]
    assert result.page_status is PageStatus.SPLIT_REQUIRED


async def test_a_page_ends_before_the_transaction_would_fail(database: Database) -> None:
    await filled(database, 8)
    tx = database.begin()
    tx.usage.limits = replace(tx.usage.limits, documents_read_max=5)
    request = PageRequest(query=scan("items"), page_size=8)
    result = await tx.user().paginate(request)
    assert numbers(result) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert result.page_status is PageStatus.SPLIT_REQUIRED
    with pytest.raises(FenchelError) as caught:
        await tx.user().paginate(replace(request, cursor=result.continue_cursor))
    assert caught.value.code == "TooManyDocumentsRead"


@pytest.mark.parametrize(("count", "status"), [(6, None), (7, PageStatus.SPLIT_RECOMMENDED)])
async def test_beyond_three_quarters_of_a_limit_a_split_is_recommended(
    database: Database, count: int, status: PageStatus | None
) -> None:
    await filled(database, count)
    result = await page(database, scan("items"), 100, max_rows=8)
    assert result.page_status is status
    assert result.is_done


async def test_the_split_cursor_cuts_a_page_into_two(database: Database) -> None:
    await filled(database, 7)
    whole = await page(database, scan("items"), 7, max_rows=8)
    assert whole.split_cursor is not None
    first = await page(database, scan("items"), 7, end_cursor=whole.split_cursor)
    second = await page(
        database,
        scan("items"),
        7,
        cursor=whole.split_cursor,
        end_cursor=whole.continue_cursor,
    )
    assert numbers(first) == [0.0, 1.0, 2.0, 3.0]
    assert numbers(first) + numbers(second) == numbers(whole)
    assert second.is_done == whole.is_done


@pytest.mark.parametrize(("count", "has_split"), [(2, False), (3, True)])
async def test_two_rows_are_not_split(database: Database, count: int, has_split: bool) -> None:
    await filled(database, count)
    result = await page(database, scan("items"), 7)
    assert (result.split_cursor is not None) == has_split


async def test_a_missing_table_is_one_empty_page(any_database: Database) -> None:
    result = await page(any_database, scan("nothing"), 5)
    assert (result.page, result.is_done) == ([], True)


@pytest.mark.parametrize(
    ("size", "rest", "code"),
    [
        (0, {}, "NoDocumentsForPagination"),
        (32_001, {}, "PageSizeTooLarge"),
        (1, {"max_rows": 0}, "InvalidPaginationLimit"),
        (1, {"cursor": Cursor(after_key=b"x", fingerprint=b"f" * 32)}, "InvalidCursor"),
    ],
)
async def test_requests_that_are_refused(
    database: Database, size: int, rest: dict[str, Any], code: str
) -> None:
    await filled(database, 1)
    with pytest.raises(FenchelError) as caught:
        await page(database, scan("items"), size, **rest)
    assert caught.value.code == code


async def test_a_component_has_pages_of_its_own(database: Database) -> None:
    await filled(database, 2)
    tx = database.begin()
    await tx.user("component").insert("items", {"n": 7.0})
    await database.commit(tx)
    request = PageRequest(query=scan("items"), page_size=10)
    page = await database.begin().user("component").paginate(request)
    assert [document.value["n"] for document in page.page] == [7.0]


@pytest.mark.parametrize("plain", [b"", b"short", b"f" * 32 + b"\x02", b"f" * 32 + b"\x00rest"])
def test_a_cursor_that_does_not_decode_resets_the_client(plain: bytes) -> None:
    with pytest.raises(FenchelError) as caught:
        decode_cursor(plain)
    assert caught.value.data_json is not None
    assert "InvalidCursor" in caught.value.data_json
