"""Compressed bodies (deploy-protocol 1.10)."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fenchel.errors import FenchelError
from fenchel.server.body_encoding import decode_body

BYTES_MAX = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "brotli": ("br", lambda data: brotli.compress(data, quality=4)),
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "zstd": ("zstd", zstandard.compress),
}


def refuse(body: bytes, encoding: str) -> FenchelError:
    with pytest.raises(FenchelError) as caught:
        decode_body(body, encoding, bytes_max=BYTES_MAX)
    assert caught.value.code == "BadJsonBody"
    return caught.value


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.binary(max_size=2_000))
def test_what_was_encoded_comes_back(name: str, data: bytes) -> None:
    encoding, encode = ENCODERS[name]
    assert decode_body(encode(data), encoding, bytes_max=BYTES_MAX) == data


@pytest.mark.parametrize("name", ENCODERS)
def test_a_body_may_grow_to_the_limit_and_no_further(name: str) -> None:
    encoding, encode = ENCODERS[name]
    assert len(decode_body(encode(bytes(BYTES_MAX)), encoding, bytes_max=BYTES_MAX)) == BYTES_MAX
    assert "larger than" in refuse(encode(bytes(BYTES_MAX + 1)), encoding).message


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bomb_costs_little_memory(name: str) -> None:
    encoding, encode = ENCODERS[name]
    bomb = encode(bytes(64 * BYTES_MAX))
    tracemalloc.start()
    try:
        refuse(bomb, encoding)
        assert tracemalloc.get_traced_memory()[1] < 16 * BYTES_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ENCODERS)
def test_a_damaged_or_cut_body_is_refused(name: str) -> None:
    encoding, encode = ENCODERS[name]
    whole = encode(bytes(range(256)) * 20)
    refuse(whole[: len(whole) // 2], encoding)
    refuse(b"\xff\xfe not compressed at all", encoding)
    refuse(b"", encoding)


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_plain_body_stays(encoding: str) -> None:
    assert decode_body(b"{}", encoding, bytes_max=BYTES_MAX) == b"{}"


def test_an_unknown_encoding_is_refused_by_name() -> None:
    assert "lzma" in refuse(b"", "lzma").message
