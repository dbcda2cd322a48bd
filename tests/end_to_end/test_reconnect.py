"""Official clients through a proxy that cuts their connections at every message boundary."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.cutting_proxy import Cut, cutting_proxy
from tests.end_to_end.fenchel_server import HERE, NODE, clean_environment
from tests.end_to_end.npm_client import npm_client
from tests.end_to_end.recording_proxy import recording_proxy

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import FenchelServer

pytestmark = pytest.mark.usefixtures("app")
MUTATIONS = 6
BOUNDARIES = 10
CLIENT_SECONDS_MAX = 180


async def run_clients(server: FenchelServer, cuts_of: dict[str, list[Cut]]) -> list[Any]:
    """What each client saw; one client for each topic, all at the same time."""
    async with AsyncExitStack() as stack:
        arguments: list[str] = []
        proxies = []
        for topic, cuts in cuts_of.items():
            proxy, url = await stack.enter_async_context(cutting_proxy(server.port, cuts))
            proxies.append(proxy)
            arguments += [topic, url]
        process = await asyncio.create_subprocess_exec(
            NODE,
            HERE / "clients/interrupted.mjs",
            str(MUTATIONS),
            *arguments,
            env=clean_environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), CLIENT_SECONDS_MAX)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0
        # Every client sends and gets at least three messages.
        assert all(proxy.connection_count > 1 for proxy in proxies[:3])
        return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize("sender", ["client", "server"])
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
async def test_each_mutation_counts_once_and_history_only_grows(
    server: FenchelServer, sender: Any, is_reset: bool
) -> None:
    cuts_of = {
        f"cut {sender} {is_reset} {messages}": [
            Cut(sender=sender, messages=messages, is_reset=is_reset),
            Cut(sender=sender, messages=1 + messages % 3, is_reset=is_reset),
        ]
        for messages in range(BOUNDARIES)
    }
    seen = await run_clients(server, cuts_of)
    assert len(seen) == len(cuts_of)
    expected = [str(number) for number in range(MUTATIONS)]
    for client in seen:
        assert client["answers"] == list(range(MUTATIONS)), client
        assert client["history"][-1] == expected, client
        for earlier, later in itertools.pairwise(client["history"]):
            assert later[: len(earlier)] == earlier, client


async def test_a_page_keeps_its_end_across_connections(server: FenchelServer, topic: str) -> None:
    """The client brings the journal back: the page does not fill up with what follows it."""
    options = {"numItems": 2, "cursor": None}
    async with (
        recording_proxy(server.url) as (proxy, url),
        npm_client("http", server.url) as writer,
        npm_client("websocket", url) as client,
    ):
        for body in "abcd":
            await writer.mutation("notes:add", topic=topic, body=body)
        page = client.subscribe("pages:list", topic=topic, paginationOpts=options)
        assert await page.next() == ["a", "b"]
        await proxy.cut()
        await writer.mutation("pages:removeFirst", topic=topic)
        assert (await page.until(["b"]))[-1] == ["b"]
        adds = [
            change
            for entry in proxy.entries
            if entry.get("client", {}).get("type") == "ModifyQuerySet"
            for change in entry["client"]["modifications"]
        ]
    assert [isinstance(add.get("journal"), str) for add in adds] == [False, True]
