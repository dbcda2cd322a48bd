"""Thousands of live queries while somebody writes: nobody diverges, or costs much memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from benchmarks.process_usage import process_resident_bytes
from benchmarks.socket_client import SocketConnection
from tests.end_to_end.fenchel_server import HERE, ConvexApp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import StartServer

QUERIES_PER_CLIENT = 10
CONNECT_COUNT_MAX = 100
SETTLE_SECONDS_MAX = 240.0
MEMORY_BYTES_MAX = 100 * 1024


@dataclass(slots=True, kw_only=True)
class Watcher:
    """A client as far as versions and lists go. `failures` says what an official client would not
    have borne."""

    topics: list[int]
    lists: dict[int, list[str]] = field(default_factory=dict)
    version: dict[str, Any] = field(
        default_factory=lambda: {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}
    )
    failures: list[str] = field(default_factory=list)

    @property
    def hello(self) -> str:
        adds = [
            {
                "type": "Add",
                "queryId": query_id,
                "udfPath": "notes:list",
                "args": [{"topic": f"topic {topic}"}],
            }
            for query_id, topic in enumerate(self.topics)
        ]
        message = {"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1}
        return json.dumps(message | {"modifications": adds})

    def take(self, text: bytes) -> None:
        message = json.loads(text)
        if message["type"] == "Ping":
            return
        if message["type"] != "Transition" or message["startVersion"] != self.version:
            self.failures.append(f"after {self.version}: {text[:500]!r}")
            return
        self.version = message["endVersion"]
        for change in message["modifications"]:
            before, now = self.lists.get(change["queryId"], []), change.get("value")
            if now is None or now[: len(before)] != before:
                self.failures.append(f"{before} became {text[:500]!r}")
            self.lists[change["queryId"]] = now

    def lengths(self) -> list[tuple[int, int]]:
        return [(topic, len(self.lists.get(place, ()))) for place, topic in enumerate(self.topics)]


class Watchers:
    """All clients in this process. `settled` is set when each has all that was written."""

    def __init__(self, port: int, *, clients: int, topics: int) -> None:
        self._port = port
        self._topic_count = topics
        self.watchers = [
            Watcher(topics=[(client * 7 + query * 13) % topics for query in range(10)])
            for client in range(clients)
        ]
        self.written = [0] * topics
        self._sockets: list[SocketConnection] = []
        self._news = asyncio.Event()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        connecting = asyncio.Semaphore(CONNECT_COUNT_MAX)

        async def connect(watcher: Watcher) -> None:
            def take(text: bytes) -> None:
                watcher.take(text)
                self._news.set()

            def fail(error: Exception) -> None:
                watcher.failures.append(repr(error))
                self._news.set()

            socket = SocketConnection("/api/1.48.0/sync", [watcher.hello], take, fail)
            async with connecting:
                await loop.create_connection(lambda: socket, "127.0.0.1", self._port)
            self._sockets.append(socket)

        async with asyncio.TaskGroup() as group:
            for watcher in self.watchers:
                group.create_task(connect(watcher), name="connect")
        await self.settle(lambda: all(len(w.lists) == QUERIES_PER_CLIENT for w in self.watchers))

    async def write(self, count: int) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self._port}") as session:
            for number in range(count):
                topic = number % self._topic_count
                args = {"topic": f"topic {topic}", "body": f"{self.written[topic]}"}
                body = {"path": "notes:add", "args": args, "format": "json"}
                async with session.post("/api/mutation", json=body) as response:
                    assert (await response.json())["status"] == "success"
                self.written[topic] += 1

    async def settle(self, is_settled: Any) -> None:
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while not is_settled():
                assert not self.failures()
                self._news.clear()
                await self._news.wait()

    def has_everything(self) -> bool:
        return all(
            length == self.written[topic]
            for watcher in self.watchers
            for topic, length in watcher.lengths()
        )

    def failures(self) -> list[str]:
        return [failure for watcher in self.watchers for failure in watcher.failures]

    def close(self) -> None:
        for socket in self._sockets:
            socket.close()


async def watch_while_writing(
    start_server: StartServer, folder: Path, *, clients: int, topics: int, writes: int
) -> float:
    """Memory per idle client in bytes."""
    server = start_server()
    assert server.process is not None
    ConvexApp.copy(HERE / "app", folder / "app", server=server).deploy()
    watchers = Watchers(server.port, clients=clients, topics=topics)
    try:
        await watchers.write(topics)
        before = process_resident_bytes(server.process.pid)
        await watchers.connect()
        used = process_resident_bytes(server.process.pid) - before
        await watchers.write(writes)
        await watchers.settle(watchers.has_everything)
        assert watchers.failures() == []
    finally:
        watchers.close()
    return used / clients


async def test_nobody_diverges(start_server: StartServer, tmp_path: Path) -> None:
    await watch_while_writing(start_server, tmp_path, clients=50, topics=20, writes=40)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_thousand_clients_with_ten_queries_each(
    start_server: StartServer, tmp_path: Path, record_property: Any
) -> None:
    bytes_each = await watch_while_writing(
        start_server, tmp_path, clients=2_000, topics=200, writes=400
    )
    record_property("memory_bytes_per_client", bytes_each)
    assert bytes_each < MEMORY_BYTES_MAX
