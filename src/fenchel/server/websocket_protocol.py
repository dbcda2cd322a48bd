"""uvicorn's WebSocket protocol with what the sync protocol asks for beyond ASGI.

Messages that are encoded already leave at once, without a task, a dictionary or a copy as text
(decision 0020). Long ones leave in several frames, because the Rust and Python clients refuse
frames over 16 MiB (client-protocol 3.2); a close frame may have no code (3.15); and a peer that
stays silent is cut off even while unsent data waits for it (3.14). The only file that names
uvicorn's protocol class.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from fenchel.server.metrics import SYNC_TRAFFIC
from fenchel.sync import SocketClosed

FRAME_BYTES_MAX = 8 << 20
# The last message up to this length is kept as a frame: many clients in a row are told the same.
SHARED_BYTES_MAX = 64 << 10
# Where the application finds the writer: among the extensions of an ASGI scope.
MESSAGE_WRITER = "fenchel.message_writer"

_FIN = 0x80
_CONTINUATION = 0x0
_TEXT = 0x1


class MessageWriter(Protocol):
    """`is_writable` is False, and `writable` clear, while the transport holds more than it
    should."""

    is_writable: bool
    writable: asyncio.Event

    def write_message(self, text: bytes) -> None:
        """Send one text message. Raises: SocketClosed."""
        ...


class _Latest:
    """The last whole message and its frame: the very same text again is the same frame."""

    __slots__ = ("frame", "text")

    def __init__(self) -> None:
        self.text: bytes | None = None
        self.frame = b""


_LATEST = _Latest()


class SyncWebSocketProtocol(WebSocketsSansIOProtocol):
    """A `MessageWriter`. No extension is negotiated, so a frame is its head and its payload."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.is_writable = True
            cast(dict[str, object], self.scope["extensions"])[MESSAGE_WRITER] = self

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_writable = False

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.is_writable = True
        # Garbage cycles are seldom looked for: a generator that waits for more holds its owner.
        self.scope = None  # type: ignore[assignment]
        self.conn.parser.close()

    def write_message(self, text: bytes) -> None:
        transport = self.transport
        if self.close_sent or transport.is_closing():
            raise SocketClosed
        if text is _LATEST.text:
            transport.write(_LATEST.frame)
        elif len(text) <= FRAME_BYTES_MAX:
            frame = _frame_head(_FIN | _TEXT, len(text)) + text
            if len(text) <= SHARED_BYTES_MAX:
                _LATEST.text, _LATEST.frame = text, frame
            transport.write(frame)
        else:
            self._write_frames(text)
        SYNC_TRAFFIC.sent_messages += 1
        SYNC_TRAFFIC.sent_bytes += len(text)

    def _write_frames(self, text: bytes) -> None:
        length = len(text)
        for start in range(0, length, FRAME_BYTES_MAX):
            piece = text[start : start + FRAME_BYTES_MAX]
            first_byte = _TEXT if start == 0 else _CONTINUATION
            if start + FRAME_BYTES_MAX >= length:
                first_byte |= _FIN
            self.transport.write(_frame_head(first_byte, len(piece)))
            self.transport.write(piece)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # A graceful close would wait for a peer that does not read.
        self.transport.abort()


def _frame_head(first_byte: int, length: int) -> bytes:
    """RFC 6455, 5.2: not masked, without extensions."""
    if length < 126:
        return bytes((first_byte, length))
    if length < 1 << 16:
        return bytes((first_byte, 126)) + length.to_bytes(2, "big")
    return bytes((first_byte, 127)) + length.to_bytes(8, "big")
