"""A TCP proxy before a server that cuts WebSocket connections between two messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Ends a connection after `messages` from one side; `is_reset`: without a farewell."""

    sender: Literal["client", "server"]
    messages: int
    is_reset: bool


class CuttingProxy:
    """Connection number n is cut as `cuts[n]` says; those after the last cut are left alone."""

    def __init__(self, server_port: int, cuts: Sequence[Cut]) -> None:
        self._server_port = server_port
        self._cuts = list(cuts)
        self._tasks: set[asyncio.Task[None]] = set()
        self.connection_count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connection_count
        self.connection_count += 1
        cut = self._cuts[number] if number < len(self._cuts) else None
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        relays = [
            asyncio.create_task(relay(source, target, _limit(cut, sender)))
            for source, target, sender in (
                (reader, server_writer, "client"),
                (server_reader, writer, "server"),
            )
        ]
        try:
            await asyncio.wait(relays, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in relays:
                task.cancel()
            await asyncio.gather(*relays, return_exceptions=True)
            for end in (writer, server_writer):
                if cut is not None and cut.is_reset:
                    end.transport.abort()
                else:
                    end.close()


def _limit(cut: Cut | None, sender: str) -> int | None:
    return cut.messages if cut is not None and cut.sender == sender else None


async def relay(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, message_limit: int | None
) -> None:
    """Passes on the HTTP head and then whole frames, until the limit or the end."""
    try:
        target.write(await source.readuntil(b"\r\n\r\n"))
        count = 0
        while message_limit is None or count < message_limit:
            target.write(await read_frame(source))
            await target.drain()
            count += 1
    except (asyncio.IncompleteReadError, ConnectionError):
        return


async def read_frame(source: asyncio.StreamReader) -> bytes:
    """One WebSocket frame as it was sent (RFC 6455, 5.2)."""
    frame = await source.readexactly(2)
    size = frame[1] & 0x7F
    if size >= 126:
        extended = await source.readexactly(2 if size == 126 else 8)
        frame += extended
        size = int.from_bytes(extended, "big")
    mask_bytes = 4 if frame[1] & 0x80 else 0
    return frame + await source.readexactly(mask_bytes + size)


@asynccontextmanager
async def cutting_proxy(
    server_port: int, cuts: Sequence[Cut]
) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """The proxy and its address."""
    proxy = CuttingProxy(server_port, cuts)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=CHUNK_BYTES)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        yield proxy, f"http://127.0.0.1:{port}"
