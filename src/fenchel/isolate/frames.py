"""The frames between backend and worker: bytes in, frames out. Pure; knows no socket and no worker.

    frame := u32le length of what follows | u8 type | u32le id | field*
    field := u32le byte length | bytes

A worker runs hostile code, so everything that it sends is measured before it is believed: a frame
that breaks a rule is a `ProtocolError`, upon which the owner of the channel kills the worker.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

FRAME_BYTES_MAX = 128 * (1 << 20)
# One meta field and at most 64 system calls a frame.
FIELD_COUNT_MAX = 65

_LENGTH = Struct("<I")
_HEADER = Struct("<IBI")


class FrameType(IntEnum):
    """Below 64: backend to worker. From 64: worker to backend. 129 and 130: the synchronous
    channel.
    """

    LOAD = 1
    UNLOAD = 2
    EXECUTE = 3
    RESULTS = 4
    CANCEL = 5
    SHUTDOWN = 6
    WARM_SCRIPT = 7
    READY = 65
    LOADED = 66
    SYSCALLS = 67
    LOG = 68
    OUTCOME = 69
    SYNC_CALL = 129
    SYNC_RESULT = 130
    BUILD_SNAPSHOT = 200
    SNAPSHOT = 201
    BUILD_WARM_SCRIPT = 202
    WARM_SCRIPT_BUILT = 203


class ProtocolError(Exception):
    """The peer broke the protocol; the message says how and holds nothing that the peer sent."""


class Frame(NamedTuple):
    type: int
    id: int
    fields: tuple[bytes, ...]


def encode_frame(type: FrameType, id: int, *fields: bytes) -> bytes:
    """One frame. The caller keeps fields within FRAME_BYTES_MAX and FIELD_COUNT_MAX."""
    parts = [b""]
    length = 5
    for field in fields:
        parts.append(_LENGTH.pack(len(field)))
        parts.append(field)
        length += 4 + len(field)
    assert length <= FRAME_BYTES_MAX, "frame too large"
    assert len(fields) <= FIELD_COUNT_MAX, "too many fields"
    parts[0] = _HEADER.pack(length, type, id)
    return b"".join(parts)


def decode_frame_body(body: bytes | bytearray | memoryview) -> Frame:
    """The frame whose bytes after the length are `body`. Raises: ProtocolError."""
    end = len(body)
    if end < 5:
        raise ProtocolError("frame shorter than its header")
    fields: list[bytes] = []
    position = 5
    while position < end:
        if end - position < 4:
            raise ProtocolError("field length cut off")
        start = position + 4
        position = start + _LENGTH.unpack_from(body, position)[0]
        if position > end:
            raise ProtocolError("field longer than its frame")
        if len(fields) == FIELD_COUNT_MAX:
            raise ProtocolError("too many fields")
        fields.append(bytes(body[start:position]))
    return Frame(body[0], int.from_bytes(body[1:5], "little"), tuple(fields))


class FrameDecoder:
    """Cuts a byte stream into frames. Invariant: the buffer holds less than one whole frame.

    After a ProtocolError the decoder must not be fed again.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order. Raises: ProtocolError."""
        stream: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            stream = self._buffer
        frames: list[Frame] = []
        position = 0
        while len(stream) - position >= 4:
            length = _LENGTH.unpack_from(stream, position)[0]
            if length > FRAME_BYTES_MAX:
                raise ProtocolError("frame too large")
            end = position + 4 + length
            if end > len(stream):
                break
            with memoryview(stream) as view, view[position + 4 : end] as body:
                frames.append(decode_frame_body(body))
            position = end
        self._keep(stream, position)
        return frames

    def _keep(self, stream: bytes | bytearray, position: int) -> None:
        if stream is self._buffer:
            del self._buffer[:position]
        elif position < len(stream):
            self._buffer += stream[position:]
