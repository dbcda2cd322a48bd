import pytest

from benchmarks.http_client import HttpConnection, encode_request

ANSWER = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello"


def receive(*pieces: bytes) -> tuple[list[bytes], list[Exception]]:
    bodies: list[bytes] = []
    failures: list[Exception] = []
    connection = HttpConnection(bodies.append, failures.append)
    for piece in pieces:
        connection.data_received(piece)
    return bodies, failures


@pytest.mark.parametrize("cut", range(len(ANSWER) + 1))
def test_an_answer_may_arrive_in_pieces(cut: int) -> None:
    assert receive(ANSWER[:cut], ANSWER[cut:]) == ([b"hello"], [])


def test_the_name_of_the_length_header_has_no_case() -> None:
    assert receive(ANSWER.replace(b"Content-Length", b"content-length")) == ([b"hello"], [])


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER.replace(b"200 OK", b"503 Busy"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_an_answer_that_cannot_be_measured_is_a_failure(answer: bytes) -> None:
    bodies, failures = receive(answer)
    assert bodies == []
    assert len(failures) == 1


def test_a_request_tells_the_length_of_its_body() -> None:
    head, _, body = encode_request("query", b"{}").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/query HTTP/1.1\r\n")
    assert head.endswith(b"Content-Length: 2")
    assert body == b"{}"
