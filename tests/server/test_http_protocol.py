"""The short way for queries whose answer is known, on raw sockets: what comes back is what the long
way says, and everything that is not a plain repeated query goes the long way.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fenchel.application import ClientResult
from tests.server.fakes import ADMIN_KEY, Edge, open_edge

BODY = json.dumps({"path": "messages:list", "args": {}}).encode()
Head = dict[str, str]


class Wire:
    """One connection: writes bytes, reads responses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def post(self, body: bytes = BODY, **headers: str) -> tuple[Head, Any]:
        self.writer.write(encode(body, **headers))
        return await self.read()

    async def read(self) -> tuple[Head, Any]:
        """Headers by lower-case name, with the status line as "", and the decoded body."""
        async with asyncio.timeout(30):
            status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            head = {"": status}
            for line in filter(None, lines):
                name, _, value = line.partition(": ")
                head[name.lower()] = value
            text = await self.reader.readexactly(int(head["content-length"]))
        return head, json.loads(text) if "json" in head["content-type"] else text.decode()


def encode(
    body: bytes = BODY, path: str = "/api/query", version: str = "1.1", **headers: str
) -> bytes:
    fields = {"Host": "x", "Content-Type": "application/json"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"POST {path} HTTP/{version}", *(f"{name}: {fields[name]}" for name in fields)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@asynccontextmanager
async def connect(edge: Edge) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """Whose queries may all be repeated."""
    async with open_edge() as opened:
        opened.application.repeat = lambda: True
        yield opened


@pytest.fixture
async def wire(edge: Edge) -> AsyncIterator[Wire]:
    async with connect(edge) as opened:
        yield opened


def run_count(edge: Edge) -> int:
    return len(edge.application.calls)


class TestRepeatedQueries:
    async def test_the_answer_is_the_same_without_another_run(self, edge: Edge, wire: Wire) -> None:
        answers = [await wire.post() for _ in range(4)]
        assert run_count(edge) == 1
        for head, _ in answers:
            assert head.pop("date")
        assert answers == [answers[0]] * 4
        assert answers[0][0][""] == "HTTP/1.1 200 OK"
        assert answers[0][1]["status"] == "success"

    async def test_it_serves_all_connections(self, edge: Edge, wire: Wire) -> None:
        await wire.post()
        async with connect(edge) as other:
            await other.post(User_Agent="another browser")
        assert run_count(edge) == 1

    async def test_an_answer_that_no_longer_holds_is_made_anew(
        self, edge: Edge, wire: Wire
    ) -> None:
        holds = True
        edge.application.repeat = lambda: holds
        await wire.post()
        holds = False
        await wire.post()
        assert run_count(edge) == 2

    async def test_a_failure_to_repeat_is_ours_and_the_query_runs(
        self, edge: Edge, wire: Wire, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> bool:
            raise AssertionError("a bug")

        edge.application.repeat = fail
        for _ in range(2):
            assert (await wire.post())[0][""] == "HTTP/1.1 200 OK"
        assert run_count(edge) == 2
        assert "repeating an answer failed" in caplog.text

    async def test_an_answer_that_may_not_be_repeated_is_not(self, edge: Edge, wire: Wire) -> None:
        edge.application.repeat = None
        await wire.post()
        await wire.post()
        assert run_count(edge) == 2

    async def test_each_origin_is_reflected(self, wire: Wire) -> None:
        for origin in ("http://a", "http://b", "http://a", "http://b"):
            head, _ = await wire.post(Origin=origin)
            assert head["access-control-allow-origin"] == origin
        head, _ = await wire.post()
        assert "access-control-allow-origin" not in head

    async def test_another_format_or_client_is_another_answer(self, edge: Edge, wire: Wire) -> None:
        encoded = json.dumps({"path": "messages:list", "format": "convex_encoded_json"}).encode()
        for _ in range(2):
            assert (await wire.post())[1]["value"]["big"] == "5"
            assert (await wire.post(encoded))[1]["value"]["big"] == {"$integer": "BQAAAAAAAAA="}
        assert run_count(edge) == 2

    async def test_a_wrong_key_is_refused_whatever_is_known(self, edge: Edge, wire: Wire) -> None:
        for _ in range(2):
            head, _ = await wire.post(Authorization=f"Convex {ADMIN_KEY}")
            assert head[""] == "HTTP/1.1 200 OK"
        assert run_count(edge) == 1
        head, _ = await wire.post(Authorization=f"Convex {ADMIN_KEY}x")
        assert head[""] == "HTTP/1.1 401 Unauthorized"

    async def test_a_token_is_verified_every_time(self, edge: Edge, wire: Wire) -> None:
        for _ in range(2):
            await wire.post(Authorization="Bearer good")
        assert run_count(edge) == 2

    async def test_a_request_keeps_the_id_that_it_came_with(self, edge: Edge, wire: Wire) -> None:
        await wire.post()
        for request_id in ("a" * 16, "b" * 16):
            await wire.post(convex_request_id=request_id)
            assert edge.application.last_call.request_id == request_id

    async def test_other_endpoints_are_not_repeated(self, edge: Edge, wire: Wire) -> None:
        for path in ("/api/mutation", "/api/action", "/api/query?x=1"):
            for _ in range(2):
                wire.writer.write(encode(path=path))
                await wire.read()
        assert run_count(edge) == 6

    async def test_errors_are_not_repeated(self, wire: Wire) -> None:
        for _ in range(2):
            head, body = await wire.post(b"{")
            assert (head[""], body["code"]) == ("HTTP/1.1 400 Bad Request", "BadJsonBody")
            head, body = await wire.post(Content_Type="text/plain")
            assert (head[""], body["code"]) == ("HTTP/1.1 400 Bad Request", "BadJsonBody")

    async def test_they_are_counted(self, edge: Edge, wire: Wire) -> None:
        def count(text: str) -> float:
            name = 'fenchel_http_request_seconds_count{method="POST",status="200"} '
            return float(text.partition(name)[2].partition("\n")[0])

        await wire.post()
        before = count((await edge.get("/metrics"))[1])
        for _ in range(3):
            await wire.post()
        assert count((await edge.get("/metrics"))[1]) == before + 3

    async def test_none_is_given_while_the_server_drains(self, edge: Edge, wire: Wire) -> None:
        await wire.post()
        await edge.api.drain(seconds_max=1)
        head, body = await wire.post()
        assert (head[""], body["code"]) == (
            *("HTTP/1.1 503 Service Unavailable", "TooManyConcurrentRequests"),
        )


class TestConnections:
    async def test_pipelined_requests_are_answered_in_order(self, edge: Edge, wire: Wire) -> None:
        await wire.post()
        other = json.dumps({"path": "messages:other", "format": "convex_json"}).encode()
        wire.writer.write((encode() + encode(other) + encode() + encode(path="/echo")) * 3)
        for _ in range(3):
            values = [(await wire.read())[1] for _ in range(4)]
            assert [value.get("value", {}).get("big") for value in values] == [
                *("5", {"$integer": "BQAAAAAAAAA="}, "5", None)
            ]
            assert values[3] == json.loads(BODY)

    async def test_a_request_in_pieces_takes_the_long_way(self, edge: Edge, wire: Wire) -> None:
        await wire.post()
        request = encode()
        for cut in (1, 20, len(request) - len(BODY), len(request) - 1):
            wire.writer.write(request[:cut])
            await edge.get("/version")  # A round trip, so that the server has read the first piece.
            wire.writer.write(request[cut:])
            assert (await wire.read())[1]["status"] == "success"

    async def test_a_request_that_stays_incomplete_holds_nothing_up(
        self, edge: Edge, wire: Wire
    ) -> None:
        wire.writer.write(encode()[:-1])
        assert await edge.get("/version")
        wire.writer.close()
        assert (await edge.post("/api/query", json={"path": "messages:list"}))[0] == 200

    async def test_the_connection_closes_if_the_client_says_so(
        self, edge: Edge, wire: Wire
    ) -> None:
        await wire.post()
        head, _ = await wire.post(Connection="close")
        assert head["connection"] == "close"
        assert await wire.reader.read() == b""

    async def test_old_clients_get_their_connection_closed(self, edge: Edge, wire: Wire) -> None:
        await wire.post()
        wire.writer.write(encode(version="1.0"))
        await wire.read()
        assert await wire.reader.read() == b""

    async def test_a_client_that_waits_for_a_go_ahead_gets_it(self, wire: Wire) -> None:
        await wire.post()
        request = encode(Expect="100-continue")
        wire.writer.write(request[: -len(BODY)])
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.writer.write(BODY)
        assert (await wire.read())[1]["status"] == "success"

    async def test_garbage_behind_a_query_ends_the_connection(self, wire: Wire) -> None:
        await wire.post()
        wire.writer.write(encode() + b"\x00 garbage\r\n\r\n")
        assert (await wire.read())[1]["status"] == "success"
        assert (await wire.read())[0][""] == "HTTP/1.1 400 Bad Request"
        assert await wire.reader.read() == b""

    async def test_a_broken_body_ends_the_connection(self, edge: Edge, wire: Wire) -> None:
        chunked = encode(b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
        wire.writer.write(chunked + b"5\r\nhello\r\nnonsense\r\n")
        assert (await wire.read())[0][""] == "HTTP/1.1 400 Bad Request"
        assert await wire.reader.read() == b""
        assert run_count(edge) == 0

    async def test_chunked_queries_are_repeated_too(self, edge: Edge, wire: Wire) -> None:
        head = encode(b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
        for _ in range(3):
            wire.writer.write(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
            assert (await wire.read())[1]["status"] == "success"
        assert run_count(edge) == 1

    async def test_a_client_that_does_not_read_is_not_answered_without_end(
        self, edge: Edge, wire: Wire
    ) -> None:
        """Behind a full buffer requests take the long way, which waits."""
        text = json.dumps("x" * (1 << 20))
        edge.application.result = ClientResult(is_success=True, value_json=text)
        await wire.post()
        assert run_count(edge) == 1
        wire.writer.write(encode() * 50)
        for _ in range(50):
            assert (await wire.read())[0][""] == "HTTP/1.1 200 OK"
        assert run_count(edge) > 1

    async def test_a_request_leaves_no_cycle_of_objects_behind(
        self, edge: Edge, wire: Wire
    ) -> None:
        """The collector of such cycles runs seldom (`fenchel serve` sees to that)."""
        edge.application.repeat = None
        await wire.post()
        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                await wire.post()
            assert gc.collect() < 100
        finally:
            gc.enable()
