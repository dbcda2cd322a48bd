"""Which responses are compressed, and how (RFC 9110, 12.5.3)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from fenchel.application import ClientResult
from fenchel.server.response import Response
from fenchel.server.response_encoding import (
    BYTES_MIN,
    LOOP_BYTES_MAX,
    choose_encoding,
    encode_response,
)
from tests.server.fakes import Edge

QUERY = {"path": "messages:list", "args": {}}
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: zlib.decompress(body, 16 + zlib.MAX_WBITS),
    "br": brotli.decompress,
    "zstd": zstandard.decompress,
}


@pytest.mark.parametrize("size", [BYTES_MIN, LOOP_BYTES_MAX + 1])
@pytest.mark.parametrize("name", list(DECODERS))
async def test_large_text_shrinks_and_comes_back(name: str, size: int) -> None:
    response = Response(body=b"ab" * (size // 2 + 1), content_type="application/json")
    encoded = await encode_response(response, name)
    assert (b"content-encoding", name.encode()) in encoded.headers
    assert (b"vary", b"Accept-Encoding") in encoded.headers
    assert len(encoded.body) < size / 10
    assert DECODERS[name](encoded.body) == response.body


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", None),
        ("identity", None),
        ("*", None),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0, br ; q=0.0", "gzip"),
        ("gzip;q=0.1", "gzip"),
        ("gzip;q=nonsense", None),
        ("gzip;level=9", None),
    ],
)
def test_the_best_accepted_encoding_is_chosen(accepted: str, chosen: str | None) -> None:
    assert choose_encoding(accepted) == chosen


async def test_small_and_binary_responses_stay_as_they_are() -> None:
    small = Response(body=b"a" * (BYTES_MIN - 1))
    assert await encode_response(small, "gzip") is small
    binary = Response(body=b"a" * BYTES_MIN, content_type="application/zip")
    assert await encode_response(binary, "gzip") is binary


async def test_a_large_response_says_that_it_could_have_been_compressed() -> None:
    response = await encode_response(Response(body=b"a" * BYTES_MIN), "")
    assert response.headers == ((b"vary", b"Accept-Encoding"),)
    assert response.body == b"a" * BYTES_MIN


async def test_each_caller_gets_what_he_accepts_also_of_repeated_answers(edge: Edge) -> None:
    text = "x" * BYTES_MIN
    edge.application.result = ClientResult(is_success=True, value_json=json.dumps(text))
    edge.application.repeat = lambda: True
    for _ in range(2):
        for accepted in ("gzip", "deflate"):
            headers = {"Accept-Encoding": accepted, "Origin": "http://a"}
            request = edge.session.post(edge.url + "/api/query", json=QUERY, headers=headers)
            async with request as response:
                assert (await response.json())["value"] == text
                expected = "gzip" if accepted == "gzip" else None
                assert response.headers.get("Content-Encoding") == expected
                assert "Accept-Encoding" in ",".join(response.headers.getall("Vary"))
    assert len(edge.application.calls) == 2
