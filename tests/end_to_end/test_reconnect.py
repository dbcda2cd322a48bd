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

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import FenchelServer

pytestmark = pytest.mark.usefixtures("app")
MUTATIONS = 6
BOUNDARIES = 10
CLIENT_SECONDS_MAX = 90


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
