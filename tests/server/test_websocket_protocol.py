"""The WebSocket protocol below ASGI: what a writer may do, over a transport that only remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from fenchel.server.websocket_protocol import (
    FRAME_BYTES_MAX,
    MESSAGE_WRITER,
    SHARED_BYTES_MAX,
    MessageWriter,
    SyncWebSocketProtocol,
)
from fenchel.sync import SocketClosed

UPGRADE = (
    b"GET /api/sync HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A masked close frame without a code.
CLOSE = b"\x88\x80\0\0\0\0"


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Peer:
    """One upgraded connection as its event loop drives it, and the writer that ASGI gave out."""

    def __init__(self, protocol: SyncWebSocketProtocol, transport: Transport) -> None:
        self.protocol = protocol
        self.transport = transport
        self.writer = cast(MessageWriter, protocol)

    def take(self) -> list[bytes]:
        written, self.transport.written = self.transport.written, []
        return written


async def connect() -> Peer:
    accepted = asyncio.Event()
    writers: list[object] = []

    async def accept(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[object]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        writers.append(scope["extensions"][MESSAGE_WRITER])
        await receive()
        await send({"type": "websocket.accept"})
        accepted.set()
        while cast(dict[str, Any], await receive())["type"] != "websocket.disconnect":
            pass

    config = uvicorn.Config(
        accept,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        proxy_headers=False,
        ws_per_message_deflate=False,
    )
    config.load()
    protocol = SyncWebSocketProtocol(config, ServerState(), {})
    transport = Transport()
    protocol.connection_made(transport)
    protocol.data_received(UPGRADE)
    await asyncio.wait_for(accepted.wait(), 30)
    assert writers == [protocol]
    peer = Peer(protocol, transport)
    assert peer.take()[0].startswith(b"HTTP/1.1 101")
    return peer


@pytest.fixture
async def peer() -> Any:
    opened = await connect()
    yield opened
    if opened.protocol.scope is not None:
        opened.protocol.connection_lost(None)
    await asyncio.gather(*opened.protocol.tasks)


async def test_a_message_is_one_frame(peer: Peer) -> None:
    peer.writer.write_message(b"hello")
    assert peer.take() == [b"\x81\x05hello"]


async def test_the_same_text_is_the_same_frame_for_all(peer: Peer) -> None:
    text = b"x" * SHARED_BYTES_MAX
    for _ in range(2):
        peer.writer.write_message(text)
    first, second = peer.take()
    assert first is second
    peer.writer.write_message(b"other")
    assert peer.take() == [b"\x81\x05other"]


async def test_long_texts_are_not_kept(peer: Peer) -> None:
    text = b"x" * (SHARED_BYTES_MAX + 1)
    for _ in range(2):
        peer.writer.write_message(text)
    first, second = peer.take()
    assert first == second
    assert first is not second


async def test_the_longest_leave_in_several_frames(peer: Peer) -> None:
    peer.writer.write_message(b"x" * (FRAME_BYTES_MAX + 1))
    head, piece, last_head, last_piece = peer.take()
    assert (head[0], len(piece)) == (0x01, FRAME_BYTES_MAX)
    assert (last_head, last_piece) == (b"\x80\x01", b"x")


async def test_a_full_transport_is_not_writable_until_it_has_room(peer: Peer) -> None:
    assert peer.writer.is_writable
    peer.protocol.pause_writing()
    assert not peer.writer.is_writable
    peer.protocol.resume_writing()
    assert peer.writer.is_writable


async def test_a_lost_connection_holds_nobody_back(peer: Peer) -> None:
    peer.protocol.pause_writing()
    peer.transport.close()
    peer.protocol.connection_lost(ConnectionResetError())
    assert peer.writer.is_writable
    with pytest.raises(SocketClosed):
        peer.writer.write_message(b"hello")
    assert peer.take() == []


async def test_nothing_follows_the_peers_close_frame(peer: Peer) -> None:
    peer.protocol.data_received(CLOSE)
    assert peer.take() == [b"\x88\x00"]
    with pytest.raises(SocketClosed):
        peer.writer.write_message(b"hello")
    assert peer.take() == []


async def test_nothing_follows_our_own_close_frame(peer: Peer) -> None:
    await peer.protocol.send({"type": "websocket.close", "code": 1001, "reason": ""})
    peer.take()
    with pytest.raises(SocketClosed):
        peer.writer.write_message(b"hello")
    assert peer.take() == []
