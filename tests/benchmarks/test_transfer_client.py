"""The client of large transfers, against a server that cuts its answer anywhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.transfer_client import TransferClient

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world"


@contextmanager
def answering(*pieces: bytes, request_bytes: int) -> Iterator[int]:
    """A server on that port, which sends the pieces once it has read so many bytes, then closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            received = 0
            while received < request_bytes:
                received += len(connection.recv(1 << 16))
            for piece in pieces:
                connection.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


GET = b"GET /file HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("cut", [1, 17, 36, 42, len(ANSWER)])
def test_an_answer_may_arrive_in_pieces(cut: int) -> None:
    with answering(ANSWER[:cut], ANSWER[cut:], request_bytes=len(GET)) as port:
        body = bytearray()
        with TransferClient(port) as client:
            assert client.download("/file", body.extend) == 11
        assert body == b"hello world"


def test_an_upload_says_how_long_it_is_and_gives_the_answer() -> None:
    head = b"PUT /file HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 6\r\n\r\n"
    with answering(ANSWER, request_bytes=len(head) + 6) as port, TransferClient(port) as client:
        assert client.upload("PUT", "/file", b"abc", 2) == b"hello world"


def test_an_answer_without_a_body_is_one() -> None:
    answer = b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"
    with answering(answer, request_bytes=len(GET)) as port, TransferClient(port) as client:
        assert client.download("/file") == 0


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER.replace(b"200 OK", b"404 No"),
        ANSWER[:-1],
        ANSWER[:20],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_cannot_be_measured_is_a_failure(answer: bytes) -> None:
    with (
        answering(answer, request_bytes=len(GET)) as port,
        TransferClient(port) as client,
        pytest.raises(RuntimeError, match=r"unexpected|early|before|without"),
    ):
        client.download("/file")
