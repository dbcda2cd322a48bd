"""Raw sockets that say what no official client says: each connection ends in order or goes on, and
the server serves everybody else as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from tests.end_to_end.npm_client import npm_client

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import FenchelServer

pytestmark = pytest.mark.usefixtures("app")
# 1005: closed without a code, after a FatalError or an AuthError.
ORDERLY_CODES = {1000, 1005, 1009, 1011, 1013}
ANSWER_SECONDS_MAX = 60.0
HUGE = "x" * (65 << 20)
SERVER_MESSAGES = {
    *("Transition", "TransitionChunk", "MutationResponse", "ActionResponse", "Ping"),
    *("FatalError", "AuthError"),
}


def socket_url(server: FenchelServer, path: str = "/api/1.48.0/sync") -> str:
    return server.url.replace("http", "ws") + path


def connect_message() -> dict[str, Any]:
    session = {"sessionId": str(uuid.uuid4()), "connectionCount": 0}
    return {"type": "Connect", "lastCloseReason": "InitialConnect", **session}


def add(query_id: int, path: str = "notes:list", **args: Any) -> dict[str, Any]:
    return {"type": "Add", "queryId": query_id, "udfPath": path, "args": [args]}


def query_set(base: int, *modifications: object) -> dict[str, Any]:
    versions = {"baseVersion": base, "newVersion": base + 1}
    return {"type": "ModifyQuerySet", **versions, "modifications": list(modifications)}


class HostileClient:
    """Draws messages at random; most are well formed, so that the wrong ones meet real state."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._topic = f"hostile {seed}"
        self._version = 0
        self._request = 0
        self._identity = 0

    def message(self) -> str | bytes:
        drawn = self._draw.choices([self._right, self._wrong, self._garbage], [16, 3, 1])[0]()
        return drawn if isinstance(drawn, str | bytes) else json.dumps(drawn)

    def _right(self) -> object:
        kind = self._draw.randrange(6)
        if kind <= 1:
            self._request += 1
            path = self._draw.choice(["notes:add", "notes:addThenFail", "nowhere:fn", "notes:list"])
            args = [{"topic": self._topic, "body": "x"} if path == "notes:add" else {}]
            type = self._draw.choice(["Mutation", "Action"])
            return {"type": type, "requestId": self._request, "udfPath": path, "args": args}
        if kind == 2:
            self._identity += 1
            base = self._identity - 1
            return {"type": "Authenticate", "baseVersion": base, "tokenType": "None"}
        if kind == 3:
            return {"type": "Event", "eventType": "x", "event": [None]}
        self._version += 1
        remove = {"type": "Remove", "queryId": self._draw.randrange(4)}
        added = add(self._draw.randrange(4), topic=self._topic)
        return query_set(self._version - 1, self._draw.choice([remove, added, add(9, "a:b")]))

    def _wrong(self) -> object:
        return self._draw.choice(
            [
                connect_message(),
                query_set(self._version + 5),
                {**query_set(self._version), "newVersion": 0},
                query_set(-1),
                query_set(1 << 40),
                query_set(self._version, {"type": "Add", "queryId": 1}),
                query_set(self._version, add(1, "not a path", x=1)),
                query_set(self._version, {**add(1), "args": 5}),
                query_set(self._version, {**add(1), "journal": "nonsense"}),
                query_set(self._version, {**add(1), "componentPath": "child"}),
                {"type": "Mutation", "requestId": 0, "udfPath": "", "args": []},
                {"type": "Mutation", "requestId": 1, "udfPath": "notes:add", "args": [1, 2, 3]},
                {"type": "Mutation", "requestId": "1", "udfPath": "notes:add", "args": [{}]},
                {"type": "Authenticate", "baseVersion": 7, "tokenType": "None"},
                {"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": "x.y.z"},
                {"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": "x|y"},
                {"type": "Connect", "sessionId": "no uuid", "connectionCount": 0},
            ]
        )

    def _garbage(self) -> str | bytes:
        deep = "[" * 20_000
        choices: list[str | bytes] = ["", "null", "{", "[]", '{"type": 1}', '{"type": "Ping"}']
        return self._draw.choice([*choices, b"\x00\xff", deep, "\ud7ff"])


async def read_to_the_end(connection: ClientConnection) -> list[str]:
    """The types of the server's messages until the connection ends."""
    types = []
    try:
        while True:
            message = await asyncio.wait_for(connection.recv(), ANSWER_SECONDS_MAX)
            types.append(json.loads(message)["type"])
    except ConnectionClosed:
        return types


async def run_hostile_session(server: FenchelServer, seed: int) -> None:
    client = HostileClient(seed)
    draw = random.Random(~seed)
    async with connect(socket_url(server), proxy=None, max_size=None) as connection:
        reader = asyncio.create_task(read_to_the_end(connection))
        try:
            if draw.random() < 0.9:
                await connection.send(json.dumps(connect_message()))
            for _ in range(draw.randrange(1, 25)):
                await connection.send(client.message())
            if draw.random() < 0.3:
                connection.transport.abort()
        except ConnectionClosed:
            pass
        if draw.random() < 0.5:
            await connection.close()
        else:
            connection.transport.write_eof() if connection.transport.can_write_eof() else None
        types = await reader
    assert set(types) <= SERVER_MESSAGES, f"seed {seed}"
    assert "FatalError" not in types[:-1], f"seed {seed}: the connection went on"
    assert connection.close_code in ORDERLY_CODES | {1006}, f"seed {seed}: {connection.close_code}"


async def assert_serves(server: FenchelServer, topic: str) -> None:
    async with npm_client("websocket", server.url) as client:
        await client.mutation("notes:add", topic=topic, body="x")
        assert "x" in await client.query("notes:list", topic=topic)
    assert "Traceback" not in server.log, server.log
    assert "Unhandled" not in server.log, server.log


async def test_random_sessions_leave_the_server_well(server: FenchelServer, topic: str) -> None:
    for first in range(0, 60, 10):
        async with asyncio.TaskGroup() as tasks:
            for seed in range(first, first + 10):
                tasks.create_task(run_hostile_session(server, seed))
    await assert_serves(server, topic)


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        json.dumps({"type": "Nonsense"}),
        json.dumps(query_set(3)),
        b"\x00",
        json.dumps({"type": "Connect", "sessionId": "x", "connectionCount": 0}),
    ],
)
async def test_a_broken_message_is_fatal(server: FenchelServer, message: str | bytes) -> None:
    async with connect(socket_url(server), proxy=None) as connection:
        await connection.send(message)
        types = await read_to_the_end(connection)
        assert types[-1] == "FatalError"
        assert connection.close_code == 1005


@pytest.mark.parametrize("path", ["/api/sync", "/api/1.48.0/sync", "/api/0.8.1/sync"])
async def test_a_repeated_request_of_a_session_counts_once(
    server: FenchelServer, path: str, topic: str
) -> None:
    hello = connect_message()
    call = {"type": "Mutation", "requestId": 0, "udfPath": "notes:add"}
    call["args"] = [{"topic": topic, "body": path}]
    answers = []
    for _ in range(3):
        try:
            async with connect(socket_url(server, path), proxy=None) as connection:
                await connection.send(json.dumps(hello))
                await connection.send(json.dumps(call))
                while (answer := json.loads(await connection.recv()))["type"] != "MutationResponse":
                    pass
                answers.append(answer["result"])
        except ConnectionClosedError:
            pytest.fail("the connection broke")
    assert len(set(answers)) == 1
    async with npm_client("http", server.url) as client:
        assert await client.query("notes:list", topic=topic) == [path]


async def test_arguments_that_are_too_large_fail_their_call_only(
    server: FenchelServer, topic: str
) -> None:
    call = {"type": "Mutation", "requestId": 0, "udfPath": "notes:add"}
    call["args"] = [{"topic": topic, "body": "x" * (17 << 20)}]
    async with connect(socket_url(server), proxy=None) as connection:
        await connection.send(json.dumps(connect_message()))
        await connection.send(json.dumps(call))
        while (answer := json.loads(await connection.recv()))["type"] != "MutationResponse":
            pass
        assert not answer["success"]
        assert "Arguments for notes.js:add are too large" in answer["result"]


async def test_a_huge_message_ends_its_connection_only(server: FenchelServer, topic: str) -> None:
    async with connect(socket_url(server), proxy=None) as connection:
        with contextlib.suppress(ConnectionClosed):
            await connection.send(HUGE)
        await read_to_the_end(connection)
        assert connection.close_code in {1006, 1009}
    await assert_serves(server, topic)


def test_half_open_sockets_hold_nothing_up(server: FenchelServer) -> None:
    """Connections that stop in the middle of a request, of the upgrade, or of a frame."""
    port = server.port
    upgrade = (
        b"GET /api/1.48.0/sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    starts = [b"", b"GET /api", upgrade[:-2], upgrade, upgrade + b"\x81\xfe\xff", b"\x16\x03\x01"]
    opened = []
    for start in starts * 5:
        half_open = socket.create_connection(("127.0.0.1", port), timeout=30)
        half_open.sendall(start)
        half_open.shutdown(socket.SHUT_WR)
        opened.append(half_open)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as good:
        good.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert good.recv(100).startswith(b"HTTP/1.1 200")
    for half_open in opened:
        half_open.close()


async def test_unknown_paths_and_versions_are_refused(server: FenchelServer) -> None:
    for path in ("/api/nonsense/sync", "/sync", "/api/1.48.0/sync/more"):
        with pytest.raises(Exception, match="server rejected WebSocket connection"):
            await connect(socket_url(server, path), proxy=None)
