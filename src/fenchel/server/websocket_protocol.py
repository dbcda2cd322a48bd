"""uvicorn's WebSocket protocol with three things that the sync protocol asks for beyond ASGI.

Long messages leave in several frames, because the Rust and Python clients refuse frames over 16 MiB
(client-protocol 3.2); a close frame may have no code (3.15); and a peer that stays silent is cut
off even while
unsent data waits for it (3.14). The only file that names uvicorn's protocol class.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

FRAME_BYTES_MAX = 8 << 20


class SyncWebSocketProtocol(WebSocketsSansIOProtocol):
    """`_fragment_open` is True while a message is half sent: nothing else may be said then."""

    _fragment_open = False

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send" and self.handshake_complete:
            data = message["text"].encode()
            if len(data) > FRAME_BYTES_MAX:
                await self._send_fragments(data)
                return
        if message["type"] == "websocket.close" and self._fragment_open:
            self.transport.abort()
            return
        await super().send(message)

    async def _send_fragments(self, data: bytes) -> None:
        self._fragment_open = True
        for start in range(0, len(data), FRAME_BYTES_MAX):
            await self.writable.wait()
            if self.disconnected or self.close_sent:
                raise ClientDisconnected
            self._send_fragment(
                data[start : start + FRAME_BYTES_MAX],
                is_first=start == 0,
                is_last=start + FRAME_BYTES_MAX >= len(data),
            )
        self._fragment_open = False

    def _send_fragment(self, piece: bytes, *, is_first: bool, is_last: bool) -> None:
        try:
            if is_first:
                self.conn.send_text(piece, fin=is_last)
            else:
                self.conn.send_continuation(piece, fin=is_last)
        except InvalidState as error:
            raise ClientDisconnected from error
        self.transport.write(b"".join(self.conn.data_to_send()))

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # A graceful close would wait for a peer that does not read.
        self.transport.abort()
