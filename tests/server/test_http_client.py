"""Clients of HTTP actions that stall, lie about lengths or leave; the action is Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import aiohttp
import pytest

from fenchel.application import HttpActionCall, HttpActionError
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime
from fenchel.runtime.settings import ServerSettings, Settings
from fenchel.udf import HeaderPairs, HttpClient, HttpResponseHead
from tests.server.fakes import Edge, open_edge

CHUNK = bytes(1 << 16)
# How long clients may be silent where a test is about that.
SILENCE_SECONDS = 0.2


@dataclass
class Exchange:
    """One edge whose HTTP action is `run`; `error` is how it failed."""

    edge: Edge
    error: asyncio.Future[FenchelError]

    @property
    def port(self) -> int:
        return int(self.edge.url.rpartition(":")[2])

    async def failure(self) -> str:
        async with asyncio.timeout(30):
            return (await self.error).code


@asynccontextmanager
async def exchange(
    run: Callable[[HttpClient], Awaitable[None]], *, silence_seconds: float = 30.0
) -> AsyncIterator[Exchange]:
    settings = replace(ServerSettings(), http_action_silence_seconds_max=silence_seconds)
    async with open_edge(runtime=Runtime(settings=Settings(server=settings))) as edge:
        opened = Exchange(edge, asyncio.get_running_loop().create_future())

        async def answer(call: HttpActionCall) -> HttpActionError | None:
            try:
                await run(call.client)
            except FenchelError as error:
                opened.error.set_result(error)
                return HttpActionError(code=error.code, trace=None, data_json=None)
            return None

        edge.application.http_action = answer
        yield opened


def head(*headers: tuple[bytes, bytes], body_bytes: int | None = None) -> HttpResponseHead:
    pairs: HeaderPairs = headers
    return HttpResponseHead(status=200, headers=pairs, body_bytes=body_bytes)


async def read_all(client: HttpClient) -> None:
    while await client.read():
        pass
    await client.respond(head(body_bytes=0))
    await client.finish()


async def send_endlessly(client: HttpClient) -> None:
    await client.respond(head())
    while True:
        await client.write(CHUNK)


async def test_a_client_that_stops_sending_is_told_so() -> None:
    async with exchange(read_all, silence_seconds=SILENCE_SECONDS) as opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(b"POST /http/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        assert await opened.failure() == "RequestTimeout"
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_client_that_leaves_while_it_sends() -> None:
    async with exchange(read_all) as opened:
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(b"POST /http/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()
        assert await opened.failure() == "ClientDisconnect"


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async with exchange(send_endlessly, silence_seconds=SILENCE_SECONDS) as opened:
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port, limit=1)
        writer.write(b"GET /http/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await opened.failure() == "ClientDisconnect"
        writer.transport.abort()


async def test_a_client_that_leaves_is_noticed_though_its_body_waits() -> None:
    async def wait(client: HttpClient) -> None:
        await client.respond(head())
        await client.wait_gone()
        await client.finish()

    async with exchange(wait) as opened:
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(b"GET /http/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        writer.transport.abort()
        assert await opened.failure() == "ClientDisconnect"


@pytest.mark.parametrize("sent", [b"too short", b"far too long"])
async def test_a_body_must_have_the_length_that_was_promised(sent: bytes) -> None:
    async def lie(client: HttpClient) -> None:
        await client.respond(head((b"Content-Length", b"10")))
        await client.write(sent)
        await client.finish()

    async with exchange(lie) as opened:
        with suppress(aiohttp.ClientError):
            await opened.edge.get("/http/x")
        assert await opened.failure() == "ContentLengthMismatch"


async def test_headers_of_the_connection_stay_with_the_server() -> None:
    async def respond(client: HttpClient) -> None:
        own = ((b"Transfer-Encoding", b"gzip"), (b"Date", b"never"), (b"X-App", b"1"))
        await client.respond(head(*own, body_bytes=2))
        await client.write(b"ok")
        await client.finish()

    async with (
        exchange(respond) as opened,
        opened.edge.session.get(opened.edge.url + "/http/x") as got,
    ):
        assert await got.text() == "ok"
        names = sorted(name.lower() for name in got.headers)
        assert names == ["content-length", "date", "x-app"]
        assert "never" not in got.headers.values()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_whole_response_looks_like_one_in_parts(method: str) -> None:
    whole = HttpResponseHead(
        status=201, headers=((b"Connection", b"close"), (b"X-App", b"1")), body_bytes=4
    )

    async def in_parts(client: HttpClient) -> None:
        await client.respond(whole)
        if method != "HEAD":
            await client.write(b"body")
        await client.finish()

    async def at_once(client: HttpClient) -> None:
        await client.respond_whole(whole, b"body")

    answers = []
    for run in (in_parts, at_once):
        async with exchange(run) as opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
            writer.write(f"{method} /http/x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            lines = (await reader.readuntil(b"\r\n\r\n")).splitlines()
            body = b"" if method == "HEAD" else await reader.readexactly(4)
            answers.append((sorted(line for line in lines if not line.startswith(b"date")), body))
            writer.close()
    assert answers[0] == answers[1]
    assert b"content-length: 4" in answers[0][0]


async def test_a_whole_response_that_is_too_large_is_cut_off() -> None:
    async def respond(client: HttpClient) -> None:
        body = bytes(ServerSettings().http_action_response_bytes_max + 1)
        await client.respond_whole(head(body_bytes=len(body)), body)

    async with exchange(respond) as opened:
        with suppress(aiohttp.ClientError):
            await opened.edge.get("/http/x")
        assert await opened.failure() == "HttpResponseTooLarge"


async def test_a_client_that_left_gets_no_whole_response() -> None:
    async def respond(client: HttpClient) -> None:
        await client.wait_gone()
        await client.respond_whole(head(body_bytes=2), b"ok")

    async with exchange(respond) as opened:
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(b"GET /http/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        writer.transport.abort()
        assert await opened.failure() == "ClientDisconnect"


async def test_a_client_that_never_ends_its_headers_is_cut_off(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fenchel.server.http_protocol.HEAD_SECONDS_MAX", SILENCE_SECONDS)
    port = int(edge.url.rpartition(":")[2])
    for sent in (b"", b"GET /http/x HTTP/1.1\r\nHost: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()


async def test_a_client_may_be_idle_between_requests(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))
    for _ in range(3):
        writer.write(b"GET /http/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 404 " in await reader.readuntil(b"no HTTP actions")
        # Not before the first request: on a busy machine it may take longer to come.
        monkeypatch.setattr("fenchel.server.http_protocol.HEAD_SECONDS_MAX", SILENCE_SECONDS)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 2 * SILENCE_SECONDS)
    writer.close()
