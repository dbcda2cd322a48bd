"""A keep-alive HTTP/1.1 connection that moves large bodies and does little else with them.

It blocks, so that nothing but system calls stands between the socket and the figure. As in
`http_client`, only what the peers answer is understood: a Content-Length, or no body at all.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Self

_BUFFER_BYTES = 1 << 20
_DEADLINE_SECONDS = 120.0
_BODILESS_STATUS = b"204"


class TransferClient:
    """One connection to a server on this machine. Requests go out one after another."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def download(
        self, path: str, on_piece: Callable[[memoryview], object] = lambda piece: None
    ) -> int:
        """Length of the body, all of which came. `on_piece` gets each part of it before it is
        overwritten. Raises: RuntimeError for any answer that is no success; OSError.
        """
        self._socket.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode())
        return self._receive(on_piece)

    def upload(self, method: str, path: str, piece: bytes, count: int) -> bytes:
        """The answer to a body of so many equal pieces. Raises: as `download`."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "
        self._socket.sendall(f"{head}{len(piece) * count}\r\n\r\n".encode())
        for _ in range(count):
            self._socket.sendall(piece)
        answer = bytearray()
        self._receive(answer.extend)
        return bytes(answer)

    def _receive(self, on_piece: Callable[[memoryview], object]) -> int:
        size, first = self._receive_head()
        on_piece(first)
        rest = size - len(first)
        while rest > 0:
            count = self._socket.recv_into(self._buffer[: min(rest, _BUFFER_BYTES)])
            if count == 0:
                raise RuntimeError(f"the connection ended {rest} bytes too early")
            on_piece(self._buffer[:count])
            rest -= count
        return size

    def _receive_head(self) -> tuple[int, memoryview]:
        """Length of the body, and what of it came with the head."""
        filled, end = 0, -1
        while end < 0:
            count = self._socket.recv_into(self._buffer[filled:])
            if count == 0:
                raise RuntimeError("the connection ended before the answer")
            filled += count
            end = bytes(self._buffer[:filled]).find(b"\r\n\r\n")
        return _body_bytes(bytes(self._buffer[:end])), self._buffer[end + 4 : filled]


def _body_bytes(head: bytes) -> int:
    status = head[9:12]
    if not status.startswith(b"2"):
        raise RuntimeError(f"unexpected answer: {head!r}")
    if status == _BODILESS_STATUS:
        return 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError(f"an answer without a length: {head!r}")
