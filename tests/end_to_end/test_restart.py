"""A server that stops and starts again while official clients are connected."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.end_to_end.fenchel_server import HERE, clean_environment
from tests.end_to_end.npm_client import npm_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.end_to_end.conftest import StartServer
    from tests.end_to_end.fenchel_server import ConvexApp

SECONDS_MAX = 60.0


class PythonClient:
    """Drives clients/python_subscriber.py: a command after the other, each with one answer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, *command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(SECONDS_MAX):
            return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def python_client(url: str, topic: str) -> AsyncIterator[PythonClient]:
    """One that is subscribed to the notes of the topic, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        HERE / "clients/python_subscriber.py",
        url,
        topic,
        env=clean_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield PythonClient(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_clients_reconnect_after_a_restart_and_no_mutation_is_applied_twice(
    start_server: StartServer, app: ConvexApp, topic: str
) -> None:
    server = start_server()
    app.moved_to(server).deploy()
    other_topic = f"{topic}, python"
    async with (
        npm_client("websocket", server.url) as npm,
        python_client(server.url, other_topic) as python,
    ):
        updates = npm.subscribe("notes:list", topic=topic)
        assert await updates.next() == []
        await npm.mutation("notes:add", topic=topic, body="before")
        assert await updates.next() == ["before"]
        assert await python.ask("next") == []
        await python.ask("add", "before")
        assert await python.ask("next") == ["before"]
        assert server.stop() == 0
        # The Python client refuses mutations by itself while it has no connection.
        sent = npm.start("mutation", "notes:add", topic=topic, body="during")
        server.start()
        await sent.next()
        await npm.mutation("notes:add", topic=topic, body="after")
        await npm.mutation("notes:add", topic=other_topic, body="during")
        whole = ["before", "during", "after"]
        seen = await updates.until(whole)
        await npm.mutation("notes:add", topic=other_topic, body="after")
        while (bodies := await python.ask("next")) != whole:
            seen.append(bodies)
        assert all(len(set(bodies)) == len(bodies) for bodies in seen)
    server.stop()
