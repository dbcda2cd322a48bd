"""Whatever a client sends as a cursor: its own page again, or InvalidCursor, never another error
(execution specification 2.7)."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fenchel.application import StoredFiles
from fenchel.application.scheduling import TransactionServices
from fenchel.auth import KeyBroker
from fenchel.database import (
    Cursor,
    Database,
    PageRequest,
    PageResult,
    decode_cursor,
    encode_cursor,
)
from fenchel.errors import ErrorKind, FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from tests.database.helpers import insert, scan


def services(key_broker: KeyBroker) -> TransactionServices:
    """For their cursors only: they have no files."""
    return TransactionServices(
        key_broker=key_broker,
        token_signer=key_broker.token_signer(issuer="http://127.0.0.1:3210"),
        stored_files=cast(StoredFiles, None),
        runtime=Runtime(),
    )


BROKER = KeyBroker("test-instance", bytes(32))
SERVICES = services(BROKER)
OTHER = services(KeyBroker("test-instance", bytes(range(32))))
FINGERPRINT = bytes(range(100, 132))

cursors = st.builds(
    Cursor, after_key=st.none() | st.binary(max_size=80), fingerprint=st.just(FINGERPRINT)
)
# Lone surrogates can be written in JSON.
any_text = st.text(alphabet=st.characters(), max_size=120)


def open_text(text: str) -> Cursor:
    return decode_cursor(SERVICES.open_cursor(text))


def sealed(cursor: Cursor) -> str:
    return SERVICES.seal_cursor(encode_cursor(cursor))


def check_refused(text: str) -> None:
    with pytest.raises(FenchelError) as caught:
        open_text(text)
    check_is_invalid_cursor(caught.value)


def check_is_invalid_cursor(error: FenchelError) -> None:
    """What official clients reset on."""
    assert error.kind is ErrorKind.BAD_REQUEST
    assert error.code == "InvalidCursor"
    assert error.message.startswith("InvalidCursor: ")
    assert error.data_json is not None
    assert '"paginationError":"InvalidCursor"' in error.data_json


@given(cursors)
def test_a_cursor_comes_back(cursor: Cursor) -> None:
    assert open_text(sealed(cursor)) == cursor
    assert sealed(cursor) == sealed(cursor)


@given(any_text)
@example("")
@example("\ud800")
@example("=" * 40)
@example("A" * 4097)
def test_any_text_is_refused(text: str) -> None:
    check_refused(text)


@given(st.binary(max_size=120))
def test_any_bytes_in_base64_are_refused(data: bytes) -> None:
    check_refused(urlsafe_b64encode(data).decode())


@given(cursors, st.data())
def test_a_truncated_cursor_is_refused(cursor: Cursor, data: st.DataObject) -> None:
    text = sealed(cursor)
    check_refused(text[: data.draw(st.integers(0, len(text) - 1))])


@given(cursors, any_text.filter(bool))
def test_an_extended_cursor_is_refused(cursor: Cursor, rest: str) -> None:
    check_refused(sealed(cursor) + rest)


@given(cursors, st.data())
def test_a_changed_character_is_noticed(cursor: Cursor, data: st.DataObject) -> None:
    text = sealed(cursor)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters().filter(lambda found: found != text[place]))
    check_refused(text[:place] + letter + text[place + 1 :])


@given(cursors)
def test_a_cursor_of_another_deployment_is_refused(cursor: Cursor) -> None:
    check_refused(OTHER.seal_cursor(encode_cursor(cursor)))


@settings(max_examples=30)
@given(cursors, st.sampled_from(["queryJournal", "admin key", "querycursor", ""]))
def test_other_sealed_texts_are_no_cursors(cursor: Cursor, purpose: str) -> None:
    check_refused(BROKER.seal(purpose, encode_cursor(cursor)))


@given(st.binary(max_size=100))
def test_sealed_bytes_that_are_no_cursor_are_refused_or_harmless(plain: bytes) -> None:
    """Of an older version of ours, say."""
    try:
        cursor = open_text(SERVICES.seal_cursor(plain))
    except FenchelError as error:
        check_is_invalid_cursor(error)
    else:
        assert encode_cursor(cursor) == plain


class TestPages:
    """Any position is a position: no cursor of the right query makes a page fail."""

    @settings(max_examples=30)
    @given(after=cursors | st.none(), end=cursors | st.none(), is_descending=st.booleans())
    def test_pages_at_any_position_hold_what_lies_between(
        self, after: Cursor | None, end: Cursor | None, is_descending: bool
    ) -> None:
        asyncio.run(self.check_page(after, end, is_descending=is_descending))

    async def check_page(
        self, after: Cursor | None, end: Cursor | None, *, is_descending: bool
    ) -> None:
        database = await Database.open(MemoryPersistence(), Runtime())
        await insert(database, "items", *({"n": float(n)} for n in range(4)))
        query = scan("items", order="desc" if is_descending else "asc")
        whole = await page(database, query, None, None)
        fingerprint = whole.continue_cursor.fingerprint
        result = await page(
            database,
            query,
            with_fingerprint(after, fingerprint),
            with_fingerprint(end, fingerprint),
        )
        ids = [document.id_text for document in result.page]
        all_ids = [document.id_text for document in whole.page]
        assert ids == [id_text for id_text in all_ids if id_text in ids]
        assert end is None or result.continue_cursor.after_key == end.after_key
        if after is not None:
            check = page(database, query, after, None)
            with pytest.raises(FenchelError) as caught:
                await check
            check_is_invalid_cursor(caught.value)
            assert "different query" in caught.value.message
        await database.close()


def with_fingerprint(cursor: Cursor | None, fingerprint: bytes) -> Cursor | None:
    return cursor and Cursor(after_key=cursor.after_key, fingerprint=fingerprint)


async def page(
    database: Database, query: object, cursor: Cursor | None, end: Cursor | None
) -> PageResult:
    request = PageRequest(query=query, cursor=cursor, end_cursor=end, page_size=10)
    return await database.begin().user().paginate(request)
