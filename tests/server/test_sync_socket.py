"""The sync socket over a real WebSocket (client-protocol 3.1, 3.2, 3.15)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import pytest

from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import SyncSettings
from fenchel.server import listeners
from fenchel.server.http_protocol import HttpProtocol
from fenchel.server.sync_socket import SyncSocket
from fenchel.server.websocket_protocol import FRAME_BYTES_MAX, SyncWebSocketProtocol
from tests.server.fakes import ADMIN_KEY, Edge, open_edge
from tests.sync.fakes import FakeBackend

SUBSCRIBE = {
    "type": "ModifyQuerySet",
    "baseVersion": 0,
    "newVersion": 1,
    "modifications": [{"type": "Add", "queryId": 0, "udfPath": "a:b", "args": [{}]}],
}


UPGRADE = (
    b"GET /api/sync HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class LargeBackend(FakeBackend):
    """Results of a given size."""

    size = 0


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with open_edge(backend=FakeBackend()) as opened:
        yield opened


@pytest.mark.parametrize(
    "path", ["/api/sync", "/api/1.48.0/sync", "//api/1.48.0/sync", "/api/1.50.0-alpha.1/sync"]
)
async def test_any_version_is_served(edge: Edge, path: str) -> None:
    async with edge.session.ws_connect(edge.url + path) as socket:
        await socket.send_json(SUBSCRIBE)
        transition = await socket.receive_json(timeout=30)
        assert transition["type"] == "Transition"
        assert transition["modifications"][0]["value"] == 0


@pytest.mark.parametrize("path", ["/api/latest/sync", "/api/other", "/"])
async def test_other_paths_are_refused(edge: Edge, path: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await edge.session.ws_connect(edge.url + path)
    assert caught.value.status == 400


async def test_a_binary_message_is_fatal(edge: Edge) -> None:
    async with edge.session.ws_connect(edge.url + "/api/sync") as socket:
        await socket.send_bytes(b"{}")
        assert (await socket.receive_json(timeout=30))["type"] == "FatalError"
        closed = await socket.receive(timeout=30)
        assert closed.type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1005 or closed.data in (None, 1005, 0)


async def test_the_log_has_no_token_key_or_argument(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="fenchel")
    args = [{"word": "s3cret-argument"}]
    async with edge.session.ws_connect(edge.url + "/api/sync") as socket:
        for message in (
            {"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": ADMIN_KEY},
            {"type": "Mutation", "requestId": 0, "udfPath": "fail", "args": args},
            {"type": "Event", "eventType": "ClientConnect", "event": args},
            {
                "type": "Authenticate",
                "baseVersion": 1,
                "tokenType": "User",
                "value": "s3cret-token",
            },
        ):
            await socket.send_json(message)
        last: Any = None
        async for received in socket:
            last = json.loads(received.data)
    assert last["type"] == "AuthError"
    await edge.sync_sockets.drain(seconds_max=30)
    assert "sync connection ended" in caplog.text
    assert "s3cret" not in caplog.text
    assert ADMIN_KEY.split("|")[1] not in caplog.text


async def test_a_shutdown_closes_with_going_away(edge: Edge) -> None:
    async with edge.session.ws_connect(edge.url + "/api/sync") as socket:
        await socket.send_json(SUBSCRIBE)
        await socket.receive_json(timeout=30)
        drain = asyncio.create_task(edge.sync_sockets.drain(seconds_max=30))
        closed = await socket.receive(timeout=30)
        assert (closed.type, closed.data, closed.extra) == (
            aiohttp.WSMsgType.CLOSE,
            1001,
            "ServerShutdown",
        )
        await drain


async def test_a_draining_server_takes_no_new_sockets(edge: Edge) -> None:
    await edge.sync_sockets.drain(seconds_max=1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await edge.session.ws_connect(edge.url + "/api/sync")
    assert caught.value.status == 503


async def test_a_peer_that_answers_no_ping_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "PING_SECONDS", 0.02)
    sync = replace(SyncSettings(), client_silence_seconds_max=0.05)
    runtime = Runtime(settings=replace(Settings(), sync=sync))
    async with open_edge(runtime=runtime, backend=FakeBackend()) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(edge.url).port)
        writer.write(UPGRADE)
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            with contextlib.suppress(ConnectionResetError):
                assert (await reader.read()).startswith(b"\x89")
        writer.close()


async def test_a_client_that_vanishes_leaves_nothing_behind(edge: Edge) -> None:
    socket = await edge.session.ws_connect(edge.url + "/api/sync")
    await socket.send_json(SUBSCRIBE)
    await socket.receive_json(timeout=30)
    writer = socket._writer.transport
    assert writer is not None
    writer.abort()
    await edge.sync_sockets.drain(seconds_max=30)
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if name.startswith("sync")]


@pytest.mark.parametrize("ending", ["close", "vanish", "violation"])
async def test_an_ended_connection_leaves_no_cycle_of_objects_behind(
    edge: Edge, ending: str
) -> None:
    """The collector of such cycles runs seldom (`fenchel serve` sees to that)."""
    gc.collect()
    gc.disable()
    try:
        before = _http_protocol_count()
        socket = await edge.session.ws_connect(edge.url + "/api/sync")
        await socket.send_json(SUBSCRIBE)
        await socket.receive_json(timeout=30)
        assert _http_protocol_count() <= before, "it has handed over to the other protocol"
        gone = _gone_with_connection(edge)
        if ending == "vanish":
            assert socket._writer.transport is not None
            socket._writer.transport.abort()
        if ending == "violation":
            await socket.send_str("{")
            assert (await socket.receive_json(timeout=30))["type"] == "FatalError"
        await socket.close()
        async with asyncio.timeout(30):
            await asyncio.gather(*(event.wait() for event in gone))
    finally:
        gc.enable()


def _http_protocol_count() -> int:
    return sum(isinstance(item, HttpProtocol) for item in gc.get_objects())


def _gone_with_connection(edge: Edge) -> list[asyncio.Event]:
    """Events that are set when the objects of the only connection are no more."""
    (worker,) = edge.sync_sockets._workers
    socket = cast(SyncSocket, worker._socket)
    events = []
    writer = cast(SyncWebSocketProtocol, socket._writer)
    for item in (worker, worker._queries, worker._state, socket, writer, writer.conn):
        event = asyncio.Event()
        weakref.finalize(item, event.set).atexit = False
        events.append(event)
    return events


async def test_a_long_message_leaves_in_frames_that_all_clients_take() -> None:
    backend = FakeBackend()
    length = 3 * FRAME_BYTES_MAX
    async with open_edge(backend=backend) as edge:
        backend.values[backend.ts] = "x" * length  # type: ignore[assignment]
        frames = await _frames(edge)
    assert len(frames) == 4
    assert max(len(frame) for frame in frames) <= FRAME_BYTES_MAX
    transition = json.loads(b"".join(frames))
    assert len(transition["modifications"][0]["value"]) == length


async def _frames(edge: Edge) -> list[bytes]:
    """The frames of the first message, read by a client protocol that shows them."""
    from websockets.asyncio.client import connect

    url = edge.url.replace("http", "ws") + "/api/sync"
    async with connect(url, max_size=None, compression=None) as socket:
        await socket.send(json.dumps(SUBSCRIBE))
        return [frame async for frame in socket.recv_streaming(decode=False)]
