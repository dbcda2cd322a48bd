"""Timestamps on the wire (client-protocol specification 3.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.documents import Timestamp, decode_timestamp, encode_timestamp
from fenchel.errors import FenchelError


@given(st.integers(0, (1 << 64) - 1))
def test_round_trip(ts):
    assert decode_timestamp(encode_timestamp(Timestamp(ts))) == ts


def test_zero_and_little_endian():
    assert encode_timestamp(Timestamp(0)) == "AAAAAAAAAAA="
    assert encode_timestamp(Timestamp(1)) == "AQAAAAAAAAA="


@pytest.mark.parametrize("text", ["", "AAAA", "AAAAAAAAAAA", "é", "AAAAAAAAAAAAAAAA"])
def test_bad_texts_are_refused(text):
    with pytest.raises(FenchelError):
        decode_timestamp(text)
