"""Document ids (database specification 1 and 11, item 1)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fenchel.documents import DocumentId, decode_document_id, encode_document_id
from fenchel.errors import FenchelError

EXAMPLES = [
    (10001, "000102030405060708090a0b0c0d0e0f", "j57000820c20a1g7104gm2rc1m70ynr8"),
    (1, "00" * 16, "0400000000000000000000000000248"),
    (10042, "0123456789abcdeffedcba9876543210", "q97028t5cy4tqkffzvebn63pags1000y"),
    (127, "ff" * 16, "fzzzzzzzzzzzzzzzzzzzzzzzzzzpzsr"),
    (4294967295, "5a" * 16, "zzzzzzrfb9d5mpjtb9d5mpjtb9d5mpjtbanr2"),
]
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def reason(text):
    with pytest.raises(FenchelError) as caught:
        decode_document_id(text)
    assert caught.value.code == "InvalidId"
    return caught.value.message.removeprefix("Unable to decode ID: ")


@pytest.mark.parametrize(("number", "internal", "text"), EXAMPLES)
def test_the_worked_examples_both_ways(number, internal, text):
    assert encode_document_id(number, bytes.fromhex(internal)) == text
    assert decode_document_id(text) == DocumentId(number, bytes.fromhex(internal))


@pytest.mark.parametrize("text", [text for _, _, text in EXAMPLES])
def test_changing_any_character_is_noticed(text):
    for position, original in enumerate(text):
        for other in ALPHABET:
            if other != original:
                reason(text[:position] + other + text[position + 1 :])


@given(st.integers(1, (1 << 32) - 1), st.binary(min_size=16, max_size=16))
def test_round_trip(number, internal):
    text = encode_document_id(number, internal)
    assert 31 <= len(text) <= 37
    assert decode_document_id(text) == DocumentId(number, internal)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_ids_of_one_table_sort_as_their_internal_ids(a, b):
    assert (a < b) == (encode_document_id(10001, a) < encode_document_id(10001, b))


def test_why_an_id_is_refused():
    good = EXAMPLES[0][2]
    assert reason("abc") == "Invalid ID length 3"
    assert reason("0" * 38) == "Invalid ID length 38"
    assert reason(good.upper()) == "ID wasn't valid base32"
    assert reason(good[:-1] + "i") == "ID wasn't valid base32"
    assert reason(good[:-1] + "é") == "ID wasn't valid base32"
    assert reason("0" * 31) == "Invalid table number"
    assert reason("z" * 36 + "y") == "Invalid table number"
    assert reason(good + "0") == "ID wasn't valid base32"
    assert reason(good[:-1] + "9").startswith("Invalid ID version ")
    assert reason(good + "00") == "Invalid ID length 34"


def test_filler_bits_must_be_zero():
    # 31 characters carry three filler bits.
    assert reason(EXAMPLES[1][2][:-1] + "9") == "ID wasn't valid base32"


def test_a_table_number_in_more_bytes_than_it_needs_is_refused():
    import base64

    body = bytes([0x81, 0x00]) + bytes(16)
    c0 = c1 = 0
    for byte in body:
        c0 = (c0 + byte) % 256
        c1 = (c1 + c0) % 256
    standard = base64.b32encode(body + bytes([c0, c1])).decode().rstrip("=")
    text = standard.translate(str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET))
    assert reason(text) == "Invalid table number"


@given(
    st.text(alphabet=st.characters(), max_size=40)
    | st.text(alphabet="0123456789abcdefghjkmnpqrstvwxyz\ud800é", min_size=31, max_size=37)
)
@example("0" * 30 + "\ud800")
def test_any_other_text_is_refused_as_an_id(text):
    """Lone surrogates too, which JSON can write."""
    with pytest.raises(FenchelError, match="InvalidId"):
        decode_document_id(text)
