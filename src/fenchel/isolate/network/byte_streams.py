"""Streams of bytes between one execution and the outside. Both directions wait for their reader.

The backend numbers the streams that it sends into the realm, the realm those that it sends out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from fenchel.errors import FenchelError, bad_request


class ByteSource(Protocol):
    """Where a stream into the realm comes from."""

    async def read(self) -> bytes:
        """The next bytes, none at the end. Raises: FenchelError."""
        ...

    def cancel(self) -> None:
        """Nobody will read on."""
        ...


class OutgoingStream:
    """What the realm sends, one chunk at a time: a write returns when its chunk was taken.

    Life: open, then ended by the realm (`end`), or abandoned by the receiver (`abandon`, or by
    leaving its iteration), after which writes fail. One receiver iterates. Invariant: `_is_empty`
    is set exactly if no chunk waits. `taken_bytes` is how much the receiver has had; `is_over` once
    neither side will speak of it again.
    """

    def __init__(self) -> None:
        self.taken_bytes = 0
        self._is_refused = False
        self._chunk: bytes | None = None
        self._failure: FenchelError | None = None
        self._is_ended = self._is_abandoned = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._has_news = asyncio.Event()

    async def write(self, chunk: bytes) -> None:
        """Raises: FenchelError if nobody takes it any more."""
        await self._wait_empty()
        self._check_open()
        self._chunk = chunk
        self._is_empty.clear()
        self._has_news.set()
        await self._wait_empty()
        if self._is_abandoned:
            self._check_open()

    @property
    def is_over(self) -> bool:
        return self._is_abandoned and (self._is_ended or self._is_refused)

    async def end(self, failure: FenchelError | None = None) -> None:
        """After everything written was taken."""
        await self._wait_empty()
        self._is_ended = True
        self._failure = failure
        self._has_news.set()

    def abandon(self) -> None:
        self._is_abandoned = True
        self._chunk = None
        self._is_empty.set()
        self._has_news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises: FenchelError if the sender failed."""
        try:
            while True:
                await self._has_news.wait()
                chunk, self._chunk = self._chunk, None
                if chunk is None:
                    break
                self._has_news.clear()
                self._is_empty.set()
                self.taken_bytes += len(chunk)
                yield chunk
            if self._failure is not None:
                raise self._failure
        finally:
            self.abandon()

    async def _wait_empty(self) -> None:
        while self._chunk is not None:
            await self._is_empty.wait()

    def _check_open(self) -> None:
        if self._is_abandoned or self._is_ended:
            self._is_refused = True
            raise bad_request("StreamFailed", "the receiver does not take any more")


class ByteStreams:
    """All streams of one execution. `close` ends them; both directions are bounded in number.
    `ingress_bytes` is what came into the realm from outside the deployment.
    """

    def __init__(self, *, count_max: int) -> None:
        self.ingress_bytes = 0
        self._count_max = count_max
        self._sources: dict[int, ByteSource] = {}
        self._foreign: set[int] = set()
        self._next_source = 1
        self._outgoing: dict[int, OutgoingStream] = {}

    def open_source(self, source: ByteSource, *, is_foreign: bool = False) -> int:
        """The number under which the realm reads it. One from outside the deployment is foreign.

        Raises: FenchelError; then the source is cancelled.
        """
        if len(self._sources) >= self._count_max:
            source.cancel()
            raise _too_many()
        number = self._next_source
        self._next_source += 1
        self._sources[number] = source
        if is_foreign:
            self._foreign.add(number)
        return number

    async def read(self, number: int) -> bytes:
        """The next bytes of a source, none at its end. Raises: FenchelError."""
        source = self._sources.get(number)
        if source is None:
            return b""
        try:
            chunk = await source.read()
        except FenchelError:
            self.cancel(number)
            raise
        if not chunk:
            self.cancel(number)
        elif number in self._foreign:
            self.ingress_bytes += len(chunk)
        return chunk

    def cancel(self, number: int) -> None:
        source = self._sources.pop(number, None)
        self._foreign.discard(number)
        if source is not None:
            source.cancel()

    def outgoing(self, number: int) -> OutgoingStream:
        """The stream that the realm calls so: made by whoever speaks of it first, sender or
        receiver. Raises: FenchelError.
        """
        stream = self._outgoing.get(number)
        if stream is None:
            if len(self._outgoing) >= self._count_max:
                self._forget_outgoing()
            stream = self._outgoing[number] = OutgoingStream()
        return stream

    def _forget_outgoing(self) -> None:
        """Those that are over, all at once. Raises: FenchelError if there are none."""
        rest = {number: stream for number, stream in self._outgoing.items() if not stream.is_over}
        if len(rest) == len(self._outgoing):
            raise _too_many()
        self._outgoing = rest

    def abandon_outgoing(self, number: int) -> None:
        """Nobody receives it; a sender that goes on is told so."""
        stream = self._outgoing.get(number)
        if stream is not None:
            stream.abandon()

    def close(self) -> None:
        for number in list(self._sources):
            self.cancel(number)
        for number in self._outgoing:
            self.abandon_outgoing(number)


def _too_many() -> FenchelError:
    return bad_request(
        "TooManyStreams",
        "Too many streams are open at once. Read them to their end or cancel them.",
    )
