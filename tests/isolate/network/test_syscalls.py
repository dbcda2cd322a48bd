"""`fetch` against a real server that stalls, redirects, lies, squeezes and never ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fenchel.errors import FenchelError
from fenchel.isolate.messages import ResultKind
from fenchel.isolate.metrics import IsolateMetrics
from fenchel.isolate.network import ByteStreams, Egress, NetworkSyscalls
from fenchel.runtime import Runtime
from fenchel.runtime.settings import EgressSettings
from tests.isolate.network.local_server import LocalServer, local_server


class Realm:
    """What the realm's side of `fetch` asks for."""

    def __init__(self, settings: EgressSettings) -> None:
        self.registry = CollectorRegistry()
        self.egress = Egress(settings, IsolateMetrics(self.registry), Runtime().clock)
        self.streams = ByteStreams(count_max=settings.streams_per_action_max)
        self.calls = NetworkSyscalls(self.egress, self.streams)

    async def call(self, op: str, args: Any) -> tuple[ResultKind, bytes]:
        handler = self.calls.handler(f"fenchel/{op}")
        assert handler is not None
        return await handler(args if isinstance(args, bytes) else json.dumps(args).encode())

    async def fetch(self, url: str, body: bytes = b"", **head: Any) -> dict[str, Any]:
        full = {"fetch": 1, "url": url, "method": "GET", "headers": [], **head}
        _, text = await self.call("fetch", json.dumps(full).encode() + b"\n" + body)
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def read(self, stream: int) -> bytes:
        kind, chunk = await self.call("readStream", {"stream": stream})
        assert (kind is ResultKind.BYTES) == bool(chunk)
        return chunk

    async def read_all(self, stream: int) -> bytes:
        body = b""
        while chunk := await self.read(stream):
            body += chunk
        return body

    async def write(self, stream: int, chunk: bytes) -> None:
        await self.call("writeStream", stream.to_bytes(4, "little") + chunk)

    async def close(self) -> None:
        self.calls.close()
        self.streams.close()
        await self.egress.close()


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server() as running:
        yield running


@pytest.fixture
async def realm() -> AsyncIterator[Realm]:
    made = Realm(EgressSettings(silence_seconds_max=30, response_seconds_max=60))
    yield made
    await made.close()


async def failure_of(realm: Realm, url: str, **head: Any) -> str:
    with pytest.raises(FenchelError) as caught:
        await realm.fetch(url, **head)
    assert caught.value.code == "FetchFailed"
    assert caught.value.is_developer_error
    return caught.value.message


async def test_head_and_body(realm: Realm, server: LocalServer) -> None:
    answer = await realm.fetch(f"{server.url}/hello", headers=[("x-one", "1"), ("host", "evil")])
    assert (answer["status"], answer["statusText"]) == (200, "Fine")
    assert ["X-Two", "2"] in answer["headers"]
    assert await realm.read_all(answer["stream"]) == b"hello"
    head = server.requests[0].lower()
    assert "x-one: 1" in head
    assert "evil" not in head
    assert "cookie" not in head


async def test_requests_are_counted_by_what_came_of_them(realm: Realm, server: LocalServer) -> None:
    def count(status: str) -> float | None:
        name = "fenchel_fetch_seconds_count"
        return realm.registry.get_sample_value(name, {"status": status})

    await realm.fetch(f"{server.url}/hello")
    assert (count("2xx"), count("failed")) == (1, None)
    await failure_of(realm, "ftp://127.0.0.1/")
    assert (count("2xx"), count("failed")) == (1, 1)


async def test_a_small_body_has_its_length(realm: Realm, server: LocalServer) -> None:
    answer = await realm.fetch(f"{server.url}/echo", b"abc", method="POST", bodyBytes=3)
    assert await realm.read_all(answer["stream"]) == b"abc"
    assert "content-length: 3" in server.requests[0].lower()


async def test_a_streamed_body_is_chunked(realm: Realm, server: LocalServer) -> None:
    fetching = asyncio.create_task(
        realm.fetch(f"{server.url}/echo", method="POST", bodyStream=9), name="fetch"
    )
    for _ in range(3):
        await realm.write(9, b"part,")
    await realm.call("endStream", {"stream": 9})
    answer = await fetching
    assert await realm.read_all(answer["stream"]) == b"part,part,part,"
    assert "transfer-encoding: chunked" in server.requests[0].lower()


async def test_a_streamed_body_that_breaks_fails_the_request(
    realm: Realm, server: LocalServer
) -> None:
    fetching = asyncio.create_task(
        failure_of(realm, f"{server.url}/echo", method="POST", bodyStream=9), name="fetch"
    )
    await realm.write(9, b"part")
    await realm.call("endStream", {"stream": 9, "error": "Error: boom"})
    assert "boom" in await fetching


async def test_uploads_wait_for_a_server_that_does_not_read(
    realm: Realm, server: LocalServer
) -> None:
    fetching = asyncio.create_task(
        realm.fetch(f"{server.url}/slow_reader", method="POST", bodyStream=9), name="fetch"
    )
    written = 0

    async def upload() -> None:
        nonlocal written
        while True:
            await realm.write(9, bytes(1 << 20))
            written += 1

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(upload(), 1)
    assert written < 16
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)


async def test_silence_has_an_end(server: LocalServer) -> None:
    realm = Realm(EgressSettings(silence_seconds_max=0.3))
    assert "silent for 0.3 seconds" in await failure_of(realm, f"{server.url}/stall")
    answer = await realm.fetch(f"{server.url}/stall_body")
    assert await realm.read(answer["stream"]) == b"begin"
    with pytest.raises(FenchelError, match=r"silent for 0\.3 seconds"):
        await realm.read(answer["stream"])
    assert await realm.read(answer["stream"]) == b""
    await realm.close()


async def test_the_whole_answer_has_a_deadline(server: LocalServer) -> None:
    realm = Realm(EgressSettings(response_seconds_max=0.2))
    assert "no response within 0.2 seconds" in await failure_of(realm, f"{server.url}/stall")
    await realm.close()


async def test_garbage_silence_and_nobody(realm: Realm, server: LocalServer) -> None:
    assert "not valid HTTP" in await failure_of(realm, f"{server.url}/garbage")
    assert "closed the connection" in await failure_of(realm, f"{server.url}/silent")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert "could not connect" in await failure_of(realm, f"http://127.0.0.1:{port}/")
    assert "could not be resolved" in await failure_of(realm, "http://nothing.invalid/")


async def test_an_early_end_is_an_error_not_a_short_body(realm: Realm, server: LocalServer) -> None:
    answer = await realm.fetch(f"{server.url}/early")
    with pytest.raises(FenchelError, match="ended early"):
        await realm.read_all(answer["stream"])


async def test_gzip_is_decoded(realm: Realm, server: LocalServer) -> None:
    answer = await realm.fetch(f"{server.url}/gzip")
    assert await realm.read_all(answer["stream"]) == b"squeezed" * 100


async def test_redirects_are_the_realms_business(realm: Realm, server: LocalServer) -> None:
    answer = await realm.fetch(f"{server.url}/redirect?to=/hello")
    assert answer["status"] == 302
    assert len(server.requests) == 1


async def test_ten_gibibytes_stay_with_the_server(realm: Realm, server: LocalServer) -> None:
    answer = await realm.fetch(f"{server.url}/endless")
    received = sum([len(await realm.read(answer["stream"])) for _ in range(64)])
    assert received <= 64 * 65_536
    for _ in range(1_000):
        await asyncio.sleep(0)
    # What the sockets and one buffer hold, not what the server has.
    assert server.sent_bytes < received + 16 * (1 << 20)
    await realm.call("cancelStream", {"stream": answer["stream"]})
    await asyncio.wait_for(server.disconnected.wait(), 30)
    assert await realm.read(answer["stream"]) == b""


async def test_a_response_has_a_size_limit(server: LocalServer) -> None:
    realm = Realm(EgressSettings(response_bytes_max=1 << 20))
    for path in ("endless", "bomb"):
        answer = await realm.fetch(f"{server.url}/{path}")
        with pytest.raises(FenchelError, match="larger than 1048576 bytes"):
            await realm.read_all(answer["stream"])
    await realm.close()


async def test_an_aborted_request_ends_at_the_server(realm: Realm, server: LocalServer) -> None:
    fetching = asyncio.create_task(failure_of(realm, f"{server.url}/stall"), name="fetch")
    await server.requested.wait()
    await realm.call("abortFetch", {"fetch": 1})
    assert "aborted" in await fetching
    await asyncio.wait_for(server.disconnected.wait(), 30)


async def test_closing_ends_what_is_under_way(realm: Realm, server: LocalServer) -> None:
    answer = await realm.fetch(f"{server.url}/endless")
    assert await realm.read(answer["stream"])
    realm.calls.close()
    realm.streams.close()
    await asyncio.wait_for(server.disconnected.wait(), 30)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"]
)
async def test_private_addresses_are_denied_by_name_and_by_number(
    server: LocalServer, host: str
) -> None:
    realm = Realm(EgressSettings(private_addresses_allowed=False))
    url = server.url.replace("127.0.0.1", host)
    message = await failure_of(realm, f"{url}/hello")
    assert "private addresses" in message or "not a canonical IPv4 address" in message
    assert not server.requests
    await realm.close()


async def test_the_address_that_is_connected_to_is_the_one_that_is_checked(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name is public when it is looked up, private when it is connected to."""
    realm = Realm(EgressSettings(private_addresses_allowed=False))

    async def rebind(self: object, host: str, port: int = 0, family: int = 0) -> list[Any]:
        entry = {"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET}
        return [{**entry, "proto": socket.IPPROTO_TCP, "flags": socket.AI_NUMERICHOST}]

    monkeypatch.setattr("fenchel.isolate.network.egress._CheckedResolver.resolve", rebind)
    url = server.url.replace("127.0.0.1", "public.example")
    assert "private addresses" in await failure_of(realm, f"{url}/hello")
    assert not server.requests
    await realm.close()


@pytest.mark.parametrize(
    ("url", "head", "reason"),
    [
        ("file:///etc/passwd", {}, "only http and https"),
        ("http://", {}, "only http and https"),
        ("http://a:b@x.org/", {}, "user name or password"),
        ("http://x.org/", {"method": "CONNECT"}, "cannot be used"),
        ("http://x.org/", {"method": "GET / HTTP/1.1\r\nX: 1\r\n"}, "Method"),
        ("http://127.0.0.1:1/", {"headers": [("x", "1\r\nY: 2")]}, ""),
    ],
)
async def test_forged_requests_are_refused(
    realm: Realm, url: str, head: dict[str, Any], reason: str
) -> None:
    assert reason in await failure_of(realm, url, **head)
