"""The frame codec: whatever bytes come, there are frames or a ProtocolError, and nothing else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenchel.isolate.frames import (
    FIELD_COUNT_MAX,
    FRAME_BYTES_MAX,
    Frame,
    FrameDecoder,
    FrameType,
    ProtocolError,
    encode_frame,
)

frame_types = st.sampled_from(list(FrameType))
ids = st.integers(0, 2**32 - 1)
fields = st.lists(st.binary(max_size=200), max_size=FIELD_COUNT_MAX)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, position = [], 0
    for size in sizes:
        pieces.append(data[position : position + size])
        position += size
    return [*pieces, data[position:]]


@given(st.lists(st.tuples(frame_types, ids, fields), max_size=5), st.lists(st.integers(0, 99)))
def test_frames_survive_any_cutting_of_the_stream(
    frames: list[tuple[FrameType, int, list[bytes]]], sizes: list[int]
) -> None:
    stream = b"".join(encode_frame(type, id, *fields) for type, id, fields in frames)
    decoder = FrameDecoder()
    decoded = [frame for piece in cut(stream, sizes) for frame in decoder.feed(piece)]
    assert decoded == [Frame(type, id, tuple(fields)) for type, id, fields in frames]


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_gives_frames_or_a_protocol_error(pieces: list[bytes]) -> None:
    decoder = FrameDecoder()
    with suppress(ProtocolError):
        for piece in pieces:
            decoder.feed(piece)


@given(frame_types, ids, fields, st.data())
def test_a_damaged_frame_gives_frames_or_a_protocol_error(
    type: FrameType, id: int, fields: list[bytes], data: st.DataObject
) -> None:
    damaged = bytearray(encode_frame(type, id, *fields))
    position = data.draw(st.integers(0, len(damaged) - 1))
    damaged[position] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        FrameDecoder().feed(bytes(damaged))


def test_a_frame_that_announces_too_much_is_refused_at_once() -> None:
    with pytest.raises(ProtocolError, match="frame too large"):
        FrameDecoder().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "little"))


def test_a_frame_shorter_than_its_header_is_refused() -> None:
    with pytest.raises(ProtocolError, match="shorter"):
        FrameDecoder().feed(b"\x04\x00\x00\x00abcd")


def test_a_field_that_reaches_past_its_frame_is_refused() -> None:
    body = b"\x43\x01\x00\x00\x00" + (9).to_bytes(4, "little") + b"12345678"
    with pytest.raises(ProtocolError, match="longer than its frame"):
        FrameDecoder().feed(len(body).to_bytes(4, "little") + body)


def test_more_fields_than_one_turn_can_need_are_refused() -> None:
    body = b"\x43\x01\x00\x00\x00" + bytes(4) * (FIELD_COUNT_MAX + 1)
    with pytest.raises(ProtocolError, match="too many fields"):
        FrameDecoder().feed(len(body).to_bytes(4, "little") + body)
