"""A WebSocket client connection for subscribers: cheap enough to run a hundred in one process.

Understands what the peers send: unmasked frames, fragments, pings. No extension is offered, so
every peer answers uncompressed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

OPCODE_TEXT = 0x1
OPCODE_CLOSE = 0x8
OPCODE_PING = 0x9
OPCODE_PONG = 0xA


class SocketConnection(asyncio.Protocol):
    """Upgrades, sends its hello messages, then gives each complete message to `on_message`."""

    def __init__(
        self,
        path: str,
        hello: Sequence[str],
        on_message: Callable[[bytes], None],
        on_failure: Callable[[Exception], None],
        *,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._hello = hello
        self._on_message = on_message
        self._on_failure = on_failure
        self._on_open = on_open
        self._buffer = b""
        self._fragments = b""
        self._is_upgraded = False
        self._transport: asyncio.Transport | None = None

    def send(self, text: bytes) -> None:
        """One text message; only after `on_open`."""
        self._write(OPCODE_TEXT, text)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._on_failure(error or ConnectionError("the server closed a subscriber"))

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_upgraded and not self._upgrade():
            return
        while self._take_frame():
            pass

    def _upgrade(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            self._on_failure(RuntimeError(f"no upgrade: {head[:500]!r}"))
            return False
        self._buffer = rest
        self._is_upgraded = True
        for message in self._hello:
            self._write(OPCODE_TEXT, message.encode())
        self._on_open()
        return True

    def _take_frame(self) -> bool:
        """Handles one complete frame of the buffer; False when there is none (RFC 6455 5.2)."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        start, length = 2, buffer[1] & 0x7F
        if length == 126:
            start, length = 4, int.from_bytes(buffer[2:4], "big")
        elif length == 127:
            start, length = 10, int.from_bytes(buffer[2:10], "big")
        if len(buffer) < start + length:
            return False
        self._buffer = buffer[start + length :]
        self._handle(buffer[0], buffer[start : start + length])
        return True

    def _handle(self, first_byte: int, payload: bytes) -> None:
        opcode = first_byte & 0x0F
        if opcode == OPCODE_PING:
            self._write(OPCODE_PONG, payload)
        elif opcode == OPCODE_CLOSE:
            self._on_failure(ConnectionError(f"a subscriber was closed: {payload[2:]!r}"))
        elif opcode != OPCODE_PONG:
            self._fragments += payload
            if first_byte & 0x80:
                message, self._fragments = self._fragments, b""
                self._on_message(message)

    def _write(self, opcode: int, payload: bytes) -> None:
        """Sends one final frame. A masking key of zeros is legal and leaves the bytes alone."""
        assert self._transport is not None
        length = len(payload)
        if length < 126:
            head = bytes((0x80 | opcode, 0x80 | length))
        else:
            assert length < 1 << 16
            head = bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2, "big")
        self._transport.write(head + b"\0\0\0\0" + payload)
