"""Caching of provider documents (client-protocol specification 4.3)."""

import asyncio

import pytest
from aiohttp import web
from multidict import CIMultiDict

from fenchel.auth.http_documents import FetchFailedError, fresh_seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 5),
        ({"cache-control": "public, max-age=600"}, 600),
        ({"Cache-Control": "max-age=600", "Age": "100"}, 500),
        ({"Cache-Control": "max-age=600", "Age": "700"}, 5),
        ({"Cache-Control": "max-age=600", "Age": "x"}, 600),
        ({"Cache-Control": "s-maxage=900, max-age=60"}, 60),
        ({"Cache-Control": "max-age=600, no-store"}, 5),
        ({"Cache-Control": "no-cache"}, 5),
        ({"Cache-Control": "max-age=99999999"}, 86_400),
        (
            {
                "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
                "Expires": "Wed, 21 Oct 2015 07:38:00 GMT",
            },
            600,
        ),
        ({"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Expires": "0"}, 5),
    ],
)
def test_how_long_an_answer_may_be_reused(headers, seconds):
    assert fresh_seconds(CIMultiDict(headers)) == seconds


async def test_a_document_is_fetched_again_when_it_is_no_longer_fresh(provider, documents, clock):
    provider.set_keys({"keys": []}, Cache_Control="max-age=60")
    first = await documents.fetch(provider.key_set_url)
    clock.seconds += 59
    assert await documents.fetch(provider.key_set_url) is first
    clock.seconds += 1
    assert await documents.fetch(provider.key_set_url) is not first
    assert provider.requests == ["/keys"] * 2


async def test_callers_that_arrive_together_share_one_fetch(provider, documents):
    fetched = await asyncio.gather(*(documents.fetch(provider.key_set_url) for _ in range(20)))
    assert len(set(map(id, fetched))) == 1
    assert provider.requests == ["/keys"]


async def test_a_stale_document_is_replaced_at_once_but_not_in_a_loop(provider, documents, clock):
    provider.set_keys({"keys": []}, Cache_Control="max-age=600")
    first = await documents.fetch(provider.key_set_url)
    assert await documents.fetch(provider.key_set_url, stale=first) is first
    clock.seconds += 5
    second = await documents.fetch(provider.key_set_url, stale=first)
    assert second is not first
    assert await documents.fetch(provider.key_set_url, stale=first) is second


async def test_failures_are_not_kept(provider, documents):
    provider.set_answer("/keys", "", status=503)
    with pytest.raises(FetchFailedError) as caught:
        await documents.fetch(provider.key_set_url)
    assert caught.value.status == 503
    provider.set_keys({"keys": []})
    assert (await documents.fetch(provider.key_set_url)).body == b'{"keys": []}'


async def test_a_provider_that_is_not_there(provider, documents):
    await provider.server.close()
    with pytest.raises(FetchFailedError) as caught:
        await documents.fetch(provider.key_set_url)
    assert caught.value.status is None


async def test_an_url_that_is_none(documents):
    with pytest.raises(FetchFailedError):
        await documents.fetch("http://")


async def test_a_document_without_end_is_refused(provider, documents):
    provider.answers["/keys"] = web.Response(body=b"x" * ((1 << 20) + 1))
    with pytest.raises(FetchFailedError) as caught:
        await documents.fetch(provider.key_set_url)
    assert "too large" in str(caught.value)


async def test_the_cache_is_bounded(provider, documents):
    for number in range(257):
        provider.set_answer(f"/{number}", "{}", Cache_Control="max-age=600")
        await documents.fetch(f"{provider.issuer}/{number}")
    await documents.fetch(f"{provider.issuer}/256")
    await documents.fetch(f"{provider.issuer}/0")
    assert len(provider.requests) == 258
