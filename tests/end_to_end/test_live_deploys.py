"""A deploy swaps the code under live clients: no error, no gap, no connection lost."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.end_to_end.fenchel_server import HERE, NODE, ConvexApp, clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.end_to_end.conftest import StartServer

TOPIC = "live"
WAIT_SECONDS_MAX = 180.0


class Watchers:
    """A process full of official clients; see clients/watchers.mjs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), WAIT_SECONDS_MAX)
        read: dict[str, Any] = json.loads(line)
        return read

    async def until_seen(self, length: int) -> None:
        while (await self.read())["seen"] < length:
            pass

    async def finish(self, last_release: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{last_release}\n".encode())
        while "errors" not in (report := await self.read()):
            pass
        return report


@asynccontextmanager
async def open_watchers(count: int, url: str) -> AsyncIterator[Watchers]:
    process = await asyncio.create_subprocess_exec(
        NODE,
        HERE / "clients/watchers.mjs",
        str(count),
        TOPIC,
        url,
        env=clean_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        yield Watchers(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def deploy(app: ConvexApp, release: int) -> None:
    (app.folder / "convex/release.ts").write_text(
        'import { query } from "./_generated/server";\n'
        f"export const number = query({{ args: {{}}, handler: async () => {release} }});\n"
    )
    app.deploy()


async def write_until(stop: asyncio.Event, url: str, watchers: Watchers) -> int:
    """Adds notes, each when everybody has seen the one before; gives their number."""
    body = {"path": "notes:addNumbered", "args": {"topic": TOPIC}, "format": "json"}
    async with aiohttp.ClientSession() as session:
        for number in itertools.count(1):
            async with session.post(f"{url}/api/mutation", json=body) as response:
                assert (await response.json())["status"] == "success"
            await watchers.until_seen(number)
            if stop.is_set():
                return number
    raise AssertionError("an endless count has ended")


async def deploy_under_clients(
    start_server: StartServer, folder: Path, *, clients: int, pushes: int
) -> None:
    server = start_server()
    app = ConvexApp.copy(HERE / "app", folder / "app", server=server)
    await asyncio.to_thread(deploy, app, 0)
    stop = asyncio.Event()
    async with open_watchers(clients, server.url) as watchers:
        await watchers.until_seen(0)
        writing = asyncio.create_task(write_until(stop, server.url, watchers), name="writer")
        for release in range(1, pushes + 1):
            await asyncio.to_thread(deploy, app, release)
        stop.set()
        assert await writing > pushes, "the writer went on during the deploys"
        report = await watchers.finish(pushes)
    assert report["errors"] == []
    assert report["breaks"] == 0
    assert report["connections"] == [1] * clients
    assert report["releases"] == [list(range(pushes + 1))] * clients


async def test_clients_do_not_notice_deploys(start_server: StartServer, tmp_path: Path) -> None:
    await deploy_under_clients(start_server, tmp_path, clients=20, pushes=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_deploys_under_five_hundred_clients(
    start_server: StartServer, tmp_path: Path
) -> None:
    await deploy_under_clients(start_server, tmp_path, clients=500, pushes=10)
