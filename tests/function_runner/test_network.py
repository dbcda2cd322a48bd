"""`fetch` the whole way: from an action's code over its worker to a real server and back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fenchel.udf import FunctionResult
from tests.function_runner.harness import App
from tests.isolate.network.local_server import LocalServer, local_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[LocalServer]:
    async with local_server() as running:
        yield running


async def run(app: App, path: str, **args: Any) -> Any:
    outcome = await app.action(f"network:{path}", args)
    assert isinstance(outcome.result, FunctionResult), outcome.result
    return json.loads(outcome.result.value_json)


async def test_redirects_are_followed_in_the_realm(app: App, server: LocalServer) -> None:
    value = await run(app, "get", url=f"{server.url}/redirect?to=/gzip")
    assert value == [200, True, f"{server.url}/gzip", "squeezed" * 100]
    assert len(server.requests) == 2


async def test_bodies_stream_both_ways(app: App, server: LocalServer) -> None:
    assert await run(app, "upload", url=f"{server.url}/echo", megabytes=3) == 3 * 1024 * 1024


async def test_what_leaves_and_comes_is_counted(app: App, server: LocalServer) -> None:
    uploaded = await app.action("network:upload", {"url": f"{server.url}/echo", "megabytes": 1})
    assert (uploaded.egress_bytes, uploaded.ingress_bytes) == (1 << 20, 1 << 20)
    posted = await app.action("network:postForm", {"url": f"{server.url}/echo"})
    length = re.search(r"content-length: (\d+)", server.requests[-1], re.IGNORECASE)
    assert length is not None
    assert posted.egress_bytes == int(length[1])


async def test_a_body_that_is_left_is_left_to_the_server(app: App, server: LocalServer) -> None:
    assert await run(app, "firstMegabyte", url=f"{server.url}/endless") is True
    await asyncio.wait_for(server.disconnected.wait(), 30)
    assert server.sent_bytes < 64 * (1 << 20)


async def test_forms_survive_the_way(app: App, server: LocalServer) -> None:
    value = await run(app, "postForm", url=f"{server.url}/echo")
    assert value == ["Ada", 'a"b.png', "image/png", 2]


async def test_a_signal_ends_the_wait(app: App, server: LocalServer) -> None:
    assert await run(app, "timeout", url=f"{server.url}/stall") == "TimeoutError"
    await asyncio.wait_for(server.disconnected.wait(), 30)


async def test_cryptography_works_inside_the_sandbox(app: App) -> None:
    assert await run(app, "signed") is True
