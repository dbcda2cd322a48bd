"""A server on loopback that behaves in every bad way, written on raw sockets."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handler = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GIBIBYTE = 1 << 30


class LocalServer:
    """`url` is where it listens. `sent_bytes`: how much of the endless body went out."""

    def __init__(self) -> None:
        self.url = ""
        self.sent_bytes = 0
        self.requests: list[str] = []
        self.requested = asyncio.Event()
        self.disconnected = asyncio.Event()
        self.released = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            self.requested.set()
            path = head.split(" ")[1]
            await getattr(self, f"_{path.strip('/').partition('?')[0]}")(head, reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.disconnected.set()
            writer.close()

    async def _hello(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-Two: 2\r\n\r\nhello")

    async def _stall(self, head: str, reader: asyncio.StreamReader, writer: object) -> None:
        await reader.read()

    async def _stall_body(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nbegin")
        await reader.read()

    async def _garbage(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01\x02 this is not HTTP\r\n\r\n")

    async def _early(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nbegin")

    async def _silent(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def _gzip(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        body = gzip.compress(b"squeezed" * 100)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _bomb(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        body = gzip.compress(bytes(1 << 28), compresslevel=1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _redirect(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        target = head.split(" ")[1].partition("to=")[2]
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n".encode())
        writer.write(b"Content-Length: 0\r\n\r\n")

    async def _endless(self, head: str, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (10 * GIBIBYTE))
        chunk = bytes(65_536)
        while True:
            writer.write(chunk)
            await writer.drain()
            self.sent_bytes += len(chunk)

    async def _echo(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        headers = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if line)
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def _slow_reader(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self.released.wait()


@asynccontextmanager
async def local_server() -> AsyncIterator[LocalServer]:
    server = LocalServer()
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listener.close()
