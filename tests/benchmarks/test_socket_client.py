from unittest.mock import Mock

import pytest

from benchmarks.socket_client import SocketConnection

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Received:
    """A connection to a server that sent `pieces`."""

    def __init__(self, *pieces: bytes, hello: tuple[str, ...] = ()) -> None:
        self.messages: list[bytes] = []
        self.failures: list[Exception] = []
        connection = SocketConnection("/", hello, self.messages.append, self.failures.append)
        self.transport = Mock()
        connection.connection_made(self.transport)
        for piece in pieces:
            connection.data_received(piece)

    def written(self) -> bytes:
        return b"".join(call.args[0] for call in self.transport.write.mock_calls[1:])


def frame(first_byte: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((first_byte, len(payload))) + payload
    return bytes((first_byte, 126)) + len(payload).to_bytes(2, "big") + payload


@pytest.mark.parametrize("size", [0, 125, 126, 65535])
def test_a_text_frame_of_any_length_is_a_message(size: int) -> None:
    payload = b"x" * size
    assert Received(UPGRADED + frame(0x81, payload)).messages == [payload]


def test_a_frame_of_64_bit_length_is_a_message() -> None:
    payload = b"x" * 70_000
    head = bytes((0x81, 127)) + len(payload).to_bytes(8, "big")
    assert Received(UPGRADED, head, payload).messages == [payload]


def test_frames_may_arrive_byte_by_byte() -> None:
    stream = UPGRADED + frame(0x81, b"one") + frame(0x81, b"two")
    assert Received(*(bytes((byte,)) for byte in stream)).messages == [b"one", b"two"]


def test_fragments_are_joined_around_a_ping() -> None:
    frames = frame(0x01, b"he") + frame(0x89, b"!") + frame(0x80, b"llo")
    received = Received(UPGRADED + frames)
    assert received.messages == [b"hello"]
    assert received.written() == b"\x8a\x81\0\0\0\0!"


def test_hello_is_sent_once_the_server_has_upgraded() -> None:
    assert Received(hello=("hi",)).written() == b""
    assert Received(UPGRADED, hello=("hi",)).written() == b"\x81\x82\0\0\0\0hi"


@pytest.mark.parametrize("stream", [b"HTTP/1.1 404 No\r\n\r\n", UPGRADED + frame(0x88, b"\3\xe8")])
def test_a_refusal_or_a_close_is_a_failure(stream: bytes) -> None:
    assert len(Received(stream).failures) == 1


def test_what_is_sent_after_the_upgrade_is_a_masked_text() -> None:
    opened: list[bool] = []
    connection = SocketConnection("/", [], print, print, on_open=lambda: opened.append(True))
    transport = Mock()
    connection.connection_made(transport)
    assert opened == []
    connection.data_received(UPGRADED)
    assert opened == [True]
    connection.send(b"hi")
    transport.write.assert_called_with(b"\x81\x82\0\0\0\0hi")
