"""HTTP actions of `convex/http.ts`, deployed by the official CLI, for plain HTTP clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from convex import ConvexClient

from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer

if TYPE_CHECKING:
    from collections.abc import Callable

MEBIBYTE = 1 << 20
LIMIT = 20 * MEBIBYTE
SECONDS_MAX = 120


@pytest.fixture
def site(app: ConvexApp, server: FenchelServer) -> str:
    return f"http://127.0.0.1:{server.site_port}"


@pytest.fixture
async def session(site: str) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=SECONDS_MAX)
    async with aiohttp.ClientSession(site, timeout=timeout) as opened:
        yield opened


@pytest.fixture
def notes(app: ConvexApp, server: FenchelServer, topic: str) -> Callable[[str], None]:
    """Waits until the action wrote this note."""
    client = ConvexClient(server.url)

    def wait_for(body: str) -> None:
        updates: Iterator[Any] = client.subscribe("notes:list", {"topic": topic})
        assert next(found for found in updates if body in found)

    return wait_for


async def get(session: aiohttp.ClientSession, path: str, **options: Any) -> tuple[int, str]:
    async with session.get(path, **options) as response:
        return response.status, await response.text()


async def wait_for_line(
    app: ConvexApp, server: FenchelServer, session: aiohttp.ClientSession, route: str, line: str
) -> None:
    """Until the function log has the line for the route: it may come after the response."""
    headers = {"Authorization": f"Convex {app.admin_key}"}
    cursor, lines = 0.0, []
    while line not in lines:
        url = f"{server.url}/api/stream_function_logs?cursor={cursor}"
        page = json.loads((await get(session, url, headers=headers))[1])
        cursor = page["newCursor"]
        entries = [entry for entry in page["entries"] if entry["identifier"] == route]
        lines = [line for entry in entries for line in entry.get("logLines", [])]


async def raw(server: FenchelServer, sent: bytes, *, half_close: bool = False) -> bytes:
    """Everything that the site answers to these bytes, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.site_port)
    writer.write(sent)
    if half_close:
        writer.write_eof()
    try:
        async with asyncio.timeout(SECONDS_MAX):
            return await reader.read()
    finally:
        writer.close()


class TestRequests:
    async def test_the_action_sees_all_of_the_request(
        self, session: aiohttp.ClientSession, site: str
    ) -> None:
        async with session.post("/echo/a%20b/c?q=1&q=2", data="body", headers={"X-A": "1"}) as got:
            assert got.status == 201
            assert got.headers.getall("Set-Cookie") == ["a=1", "b=2"]
            seen = await got.json()
        assert (seen["method"], seen["body"]) == ("POST", "body")
        assert seen["url"] == f"{site}/echo/a%20b/c?q=1&q=2"
        assert seen["headers"]["x-a"] == "1"

    async def test_the_api_port_has_them_below_http(
        self, server: FenchelServer, session: aiohttp.ClientSession
    ) -> None:
        assert await get(session, f"{server.url}/http/hello") == (200, "hello")
        assert (await get(session, f"{server.url}/hello"))[0] == 404

    async def test_a_proxy_says_which_scheme_the_client_used(
        self, session: aiohttp.ClientSession
    ) -> None:
        headers = {"X-Forwarded-Proto": "https", "Host": "app.example.com"}
        async with session.post("/echo/x", headers=headers) as got:
            assert (await got.json())["url"] == "https://app.example.com/echo/x"

    async def test_head_is_get_without_the_body(self, session: aiohttp.ClientSession) -> None:
        async with session.head("/hello") as got:
            assert (got.status, got.headers["Content-Length"]) == (200, "5")

    async def test_options_are_the_apps_own(self, session: aiohttp.ClientSession) -> None:
        asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
        async with session.options("/hello", headers=asked) as got:
            assert got.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
            assert "Access-Control-Allow-Credentials" not in got.headers
        async with session.get("/hello", headers=asked) as got:
            assert "Access-Control-Allow-Origin" not in got.headers

    async def test_nothing_is_routed(self, session: aiohttp.ClientSession) -> None:
        assert await get(session, "/nope") == (404, "No matching routes found")
        async with session.delete("/hello") as got:
            assert got.status == 404
        async with session.request("PROPFIND", "/hello") as got:
            assert got.status == 405

    async def test_functions_run_for_the_action(
        self, session: aiohttp.ClientSession, topic: str, notes: Callable[[str], None]
    ) -> None:
        async with session.post("/post", json={"topic": topic, "body": "sent"}) as got:
            assert await got.json() == ["sent"]
        await asyncio.to_thread(notes, "scheduled")


class TestIdentity:
    async def test_nobody(self, session: aiohttp.ClientSession) -> None:
        assert await get(session, "/who") == (200, "null")

    async def test_a_foreign_token_fails_only_who_asks(
        self, session: aiohttp.ClientSession
    ) -> None:
        headers = {"Authorization": "Bearer the-secret-of-a-webhook"}
        assert await get(session, "/hello", headers=headers) == (200, "hello")
        status, text = await get(session, "/who", headers=headers)
        assert status == 500
        assert "Could not parse the token" in json.loads(text)["code"]


class TestFailures:
    async def test_an_error_before_the_response(self, session: aiohttp.ClientSession) -> None:
        status, text = await get(session, "/fails")
        body = json.loads(text)
        assert status == 500
        assert "Server Error: Uncaught Error: no luck" in body["code"]
        assert "convex/http.ts" in body["trace"]
        assert "data" not in body

    async def test_the_data_of_a_convex_error(self, session: aiohttp.ClientSession) -> None:
        status, text = await get(session, "/refuses")
        assert (status, json.loads(text)["data"]) == (500, {"reason": "full"})

    async def test_no_response_at_all(self, session: aiohttp.ClientSession) -> None:
        status, text = await get(session, "/returnsText")
        assert status == 500
        assert "must return a Response" in json.loads(text)["code"]

    async def test_an_error_in_the_middle_breaks_off(self, session: aiohttp.ClientSession) -> None:
        async with session.get("/breaks") as got:
            assert (got.status, await got.content.readany()) == (200, b"begin")
            with pytest.raises(aiohttp.ClientPayloadError):
                await got.read()

    async def test_the_log_names_the_route(
        self, app: ConvexApp, session: aiohttp.ClientSession, server: FenchelServer
    ) -> None:
        await get(session, "/fails")
        headers = {"Authorization": f"Convex {app.admin_key}"}
        _, text = await get(
            session, f"{server.url}/api/stream_function_logs?cursor=0", headers=headers
        )
        entries = [e for e in json.loads(text)["entries"] if e["identifier"] == "GET /fails"]
        progress, completion = entries[-2:]
        assert "before the failure" in progress["logLines"][0]
        assert (completion["udfType"], completion["caller"]) == ("HttpAction", "HttpEndpoint")
        assert "no luck" in completion["error"]


class TestStreams:
    async def test_chunks_are_answered_while_the_request_goes_on(
        self, session: aiohttp.ClientSession
    ) -> None:
        answered = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            yield b"one "
            await answered.wait()
            yield b"two"

        async with session.post("/upper", data=chunks()) as got:
            assert await got.content.readany() == b"ONE "
            answered.set()
            assert await got.read() == b"TWO"

    async def test_a_client_that_leaves_aborts_the_signal_and_cancels_the_body(
        self, server: FenchelServer, topic: str, notes: Callable[[str], None]
    ) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.site_port)
        writer.write(b"GET /ticks?topic=%b HTTP/1.1\r\nHost: x\r\n\r\n" % topic.encode())
        await reader.readuntil(b"tick\n")
        writer.close()
        # The official client keeps the interpreter to itself while it waits: nothing of this loop
        # may be left to do.
        await writer.wait_closed()
        await asyncio.to_thread(notes, "aborted")
        await asyncio.to_thread(notes, "cancelled")

    async def test_a_client_that_reads_nothing_stops_the_source(
        self, session: aiohttp.ClientSession, server: FenchelServer
    ) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.site_port, limit=1)
        writer.write(b"GET /bytes?count=%d HTTP/1.1\r\nHost: x\r\n\r\n" % LIMIT)
        assert await reader.readexactly(9) == b"HTTP/1.1 "
        writer.transport.abort()
        assert await get(session, "/hello") == (200, "hello")


class TestLimits:
    async def test_the_largest_bodies(
        self, app: ConvexApp, server: FenchelServer, session: aiohttp.ClientSession
    ) -> None:
        async with session.post("/length", data=BytesIO(bytes(LIMIT))) as got:
            assert await got.json() == LIMIT
        async with session.get("/bytes", params={"count": LIMIT}) as got:
            assert len(await got.read()) == LIMIT
        warning = "[WARN] Large response returned from an HTTP action"
        sizes = f"(actual: {LIMIT} bytes, limit: {LIMIT} bytes)."
        await wait_for_line(app, server, session, "GET /bytes", f"{warning} {sizes}")

    async def test_a_body_that_says_it_is_too_large(self, session: aiohttp.ClientSession) -> None:
        async with session.post("/length", data=BytesIO(bytes(LIMIT + 1))) as got:
            assert got.status == 413

    async def test_a_body_that_turns_out_too_large(self, session: aiohttp.ClientSession) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(21):
                yield bytes(MEBIBYTE)

        async with session.post("/length", data=chunks()) as got:
            assert got.status == 413

    async def test_a_response_that_is_too_large_breaks_off(
        self, session: aiohttp.ClientSession
    ) -> None:
        async with session.get("/bytes", params={"count": LIMIT + 1}) as got:
            with pytest.raises(aiohttp.ClientPayloadError):
                await got.read()

    async def test_a_body_that_nobody_reads(self, session: aiohttp.ClientSession) -> None:
        for _ in range(2):
            async with session.post("/ignores", data=BytesIO(bytes(MEBIBYTE))) as got:
                assert await got.text() == "not read"


class TestHostileClients:
    async def test_half_a_body(self, server: FenchelServer, session: Any) -> None:
        sent = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
        assert await raw(server, sent, half_close=True) == b""
        assert await get(session, "/hello") == (200, "hello")

    async def test_a_host_that_is_none(self, server: FenchelServer, app: ConvexApp) -> None:
        sent = b"GET /hello HTTP/1.1\r\nHost: user:secret@x/y?\r\nConnection: close\r\n\r\n"
        assert b"InvalidHost" in await raw(server, sent)

    async def test_an_old_client_without_host(self, server: FenchelServer, app: ConvexApp) -> None:
        answer = await raw(server, b"GET /hello HTTP/1.0\r\n\r\n")
        assert answer.endswith(b"\r\n\r\nhello")

    async def test_a_web_socket_is_refused(self, session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect("/hello")


class TestFiles:
    async def test_a_file_is_taken_and_served(self, session: aiohttp.ClientSession) -> None:
        content = bytes(range(256)) * 12_000
        headers = {"Content-Type": "image/png"}
        async with session.put("/file", data=BytesIO(content), headers=headers) as got:
            storage_id = (await got.json())["id"]
        async with session.get("/file", params={"id": storage_id}) as got:
            assert got.headers["Content-Type"] == "image/png"
            assert got.headers["Content-Length"] == str(len(content))
            assert await got.read() == content
        asked = {"Range": "bytes=1000000-1999999"}
        async with session.get("/file", params={"id": storage_id}, headers=asked) as got:
            assert (got.status, got.headers["Content-Type"]) == (206, "image/png")
            assert await got.read() == content[1_000_000:2_000_000]

    async def test_there_is_no_such_file(self, session: aiohttp.ClientSession) -> None:
        status, text = await get(session, "/file", params={"id": "nonsense"})
        assert status == 500
        assert "Invalid storage id" in json.loads(text)["code"]
