"""Streams between an execution and the outside: order, backpressure, ends on both sides."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.errors import FenchelError, bad_request
from fenchel.isolate.network.byte_streams import ByteStreams, OutgoingStream


class ListSource:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)
        self.is_cancelled = False

    async def read(self) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    def cancel(self) -> None:
        self.is_cancelled = True


async def test_a_write_returns_when_its_chunk_was_taken() -> None:
    stream = OutgoingStream()
    writing = asyncio.create_task(stream.write(b"1"), name="write")
    await asyncio.sleep(0)
    assert not writing.done()
    received = aiter(stream)
    assert await anext(received) == b"1"
    await writing


async def test_chunks_arrive_in_order_and_then_the_end() -> None:
    stream = OutgoingStream()

    async def send() -> None:
        for number in range(100):
            await stream.write(b"%d," % number)
        await stream.end()

    sending = asyncio.create_task(send(), name="send")
    assert b"".join([chunk async for chunk in stream]) == b"".join(b"%d," % n for n in range(100))
    await sending


async def test_a_failure_of_the_sender_reaches_the_receiver() -> None:
    stream = OutgoingStream()
    await stream.end(bad_request("StreamFailed", "boom"))
    with pytest.raises(FenchelError, match="boom"):
        [chunk async for chunk in stream]


async def test_writers_hear_that_the_receiver_has_gone() -> None:
    stream = OutgoingStream()
    writing = asyncio.create_task(stream.write(b"1"), name="write")
    await asyncio.sleep(0)
    stream.abandon()
    with pytest.raises(FenchelError, match="does not take"):
        await writing
    with pytest.raises(FenchelError, match="does not take"):
        await stream.write(b"2")


async def test_a_source_is_read_to_its_end_and_cancelled_once() -> None:
    streams = ByteStreams(count_max=1)
    source = ListSource(b"1", b"2")
    number = streams.open_source(source)
    assert [await streams.read(number) for _ in range(4)] == [b"1", b"2", b"", b""]
    assert source.is_cancelled


async def test_what_comes_from_outside_is_counted() -> None:
    streams = ByteStreams(count_max=2)
    foreign = streams.open_source(ListSource(b"123", b"45", b"6"), is_foreign=True)
    own = streams.open_source(ListSource(b"stored"))
    for number in (foreign, foreign, own):
        await streams.read(number)
    assert streams.ingress_bytes == 5


async def test_streams_are_bounded_in_number() -> None:
    streams = ByteStreams(count_max=1)
    streams.open_source(ListSource())
    refused = ListSource()
    with pytest.raises(FenchelError, match="Too many streams"):
        streams.open_source(refused)
    assert refused.is_cancelled
    assert streams.outgoing(7) is streams.outgoing(7)
    with pytest.raises(FenchelError, match="Too many streams"):
        streams.outgoing(8)


async def test_streams_that_are_over_make_room() -> None:
    streams = ByteStreams(count_max=2)
    for number in range(1, 6):
        await streams.outgoing(number).end()
        assert [chunk async for chunk in streams.outgoing(number)] == []
    left = streams.outgoing(6)
    streams.abandon_outgoing(6)
    streams.outgoing(7)
    # Its sender has not heard yet that nobody takes it.
    with pytest.raises(FenchelError, match="Too many streams"):
        streams.outgoing(8)
    assert streams.outgoing(6) is left
    with pytest.raises(FenchelError, match="does not take"):
        await left.write(b"1")
    streams.outgoing(8)


async def test_close_ends_both_directions() -> None:
    streams = ByteStreams(count_max=4)
    source = ListSource(b"1")
    streams.open_source(source)
    writing = asyncio.create_task(streams.outgoing(1).write(b"1"), name="write")
    await asyncio.sleep(0)
    streams.close()
    assert source.is_cancelled
    with pytest.raises(FenchelError):
        await writing
