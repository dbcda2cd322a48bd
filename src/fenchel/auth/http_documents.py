"""Documents of identity providers, fetched over HTTP and kept while their headers allow."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import aiohttp

from fenchel.runtime import Clock

_FETCH_SECONDS_MAX = 10.0
_BODY_BYTES_MAX = 1 << 20
_REDIRECTS_MAX = 3
_DOCUMENTS_MAX = 256
# Callers that arrive together share one fetch, whatever the headers say.
_FRESH_SECONDS_MIN = 5.0
_FRESH_SECONDS_MAX = 86_400.0
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d+)")
_NOT_REUSABLE = re.compile(r"(?:^|[\s,])no-(?:store|cache)\b")


class FetchFailedError(Exception):
    """No usable answer. `status` is the HTTP status, or None if none arrived."""

    def __init__(self, url: str, reason: str, *, status: int | None = None) -> None:
        super().__init__(f"{url}: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDocument:
    """`content_type` as in the header, lower case; monotonic seconds."""

    body: bytes
    content_type: str
    fetched_at: float
    fresh_until: float


class HttpDocuments:
    """A bounded cache of answers with status 200 by URL; the least recently used goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._documents: OrderedDict[str, HttpDocument] = OrderedDict()
        # One for each URL that somebody is fetching or waiting for.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, url: str, *, stale: HttpDocument | None = None) -> HttpDocument:
        """The document at `url`, from the cache while it is fresh, within 10 seconds.

        `stale` is a cached document that misses something (a new key): it is fetched again unless
        it is only seconds old. Raises: FetchFailedError.
        """
        lock = self._locks.setdefault(url, asyncio.Lock())
        try:
            async with asyncio.timeout(_FETCH_SECONDS_MAX), lock:
                return self._find(url, stale) or await self._load(url)
        except TimeoutError as error:
            raise FetchFailedError(url, "no answer in time") from error

    def _find(self, url: str, stale: HttpDocument | None) -> HttpDocument | None:
        document = self._documents.get(url)
        now = self._clock.monotonic()
        if document is None or document.fresh_until <= now:
            return None
        if document is stale and document.fetched_at + _FRESH_SECONDS_MIN <= now:
            return None
        self._documents.move_to_end(url)
        return document

    async def _load(self, url: str) -> HttpDocument:
        try:
            document = await self._request(url)
        except (aiohttp.ClientError, ValueError) as error:
            raise FetchFailedError(url, f"{type(error).__name__}: {error}") from error
        self._documents[url] = document
        self._documents.move_to_end(url)
        while len(self._documents) > _DOCUMENTS_MAX:
            self._documents.popitem(last=False)
        return document

    async def _request(self, url: str) -> HttpDocument:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.get(url, max_redirects=_REDIRECTS_MAX) as response:
            if response.status != 200:
                raise FetchFailedError(
                    url, f"answered with status {response.status}", status=response.status
                )
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _BODY_BYTES_MAX:
                    raise FetchFailedError(url, "the document is too large", status=200)
            now = self._clock.monotonic()
            return HttpDocument(
                body=bytes(body),
                content_type=response.headers.get("Content-Type", "").lower(),
                fetched_at=now,
                fresh_until=now + fresh_seconds(response.headers),
            )


def fresh_seconds(headers: Mapping[str, str]) -> float:
    """How long an answer may be reused (RFC 9111, 4.2), within 5 seconds and a day."""
    control = headers.get("Cache-Control", "").lower()
    max_age = _MAX_AGE.search(control)
    if _NOT_REUSABLE.search(control):
        lifetime = 0.0
    elif max_age is not None:
        age = headers.get("Age", "")
        lifetime = float(max_age[1]) - (float(age) if age.isdecimal() else 0.0)
    else:
        lifetime = _expires_seconds(headers)
    return min(max(lifetime, _FRESH_SECONDS_MIN), _FRESH_SECONDS_MAX)


def _expires_seconds(headers: Mapping[str, str]) -> float:
    try:
        expires = parsedate_to_datetime(headers["Expires"])
        return (expires - parsedate_to_datetime(headers["Date"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        # Missing or unreadable dates mean "already expired" (RFC 9111, 5.3).
        return 0.0
