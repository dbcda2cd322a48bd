"""The server is killed while official clients write: what was acknowledged stays, once."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.end_to_end.fenchel_server import HERE, NODE, clean_environment
from tests.end_to_end.npm_client import npm_client

if TYPE_CHECKING:
    from tests.end_to_end.conftest import StartServer
    from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer

WEBSOCKET_CLIENTS = 10
HTTP_CLIENTS = 10
MESSAGES_PER_CLIENT = 50
ACKNOWLEDGED_BEFORE_KILL = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What the clients were told about their messages, 1,000 and more."""

    acknowledged: frozenset[str]
    failed: frozenset[str]


def send_while_killing(server: FenchelServer) -> Burst:
    """Kills the server once enough was acknowledged, starts it again once a client has noticed, and
    lets the clients finish.
    """
    counts = map(str, (WEBSOCKET_CLIENTS, HTTP_CLIENTS, MESSAGES_PER_CLIENT))
    told: dict[str, list[str]] = {"acknowledged": [], "failed": []}
    with subprocess.Popen(
        [NODE, HERE / "clients/burst.mjs", server.url, "burst", *counts],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(),
    ) as clients:
        assert clients.stdout is not None
        for line in clients.stdout:
            kind, body, *_ = line.split()
            told[kind].append(body)
            if server.process is None and kind == "failed":
                server.start()
            elif kind == "acknowledged" and len(told[kind]) == ACKNOWLEDGED_BEFORE_KILL:
                server.kill()
    assert clients.returncode == 0
    return Burst(
        acknowledged=frozenset(told["acknowledged"]),
        failed=frozenset(told["failed"]),
    )


async def test_after_a_kill_every_acknowledged_message_is_there_exactly_once(
    start_server: StartServer, app: ConvexApp
) -> None:
    server = start_server()
    app.moved_to(server).deploy()
    burst = send_while_killing(server)
    async with npm_client("http", server.url) as client:
        stored = Counter(await client.query("notes:list", topic="burst"))
    sent = WEBSOCKET_CLIENTS * MESSAGES_PER_CLIENT
    assert len(burst.acknowledged | burst.failed) >= sent + HTTP_CLIENTS * MESSAGES_PER_CLIENT
    assert sum(body.startswith("ws") for body in burst.acknowledged) == sent
    assert burst.failed
    assert burst.acknowledged <= stored.keys()
    assert set(stored.values()) == {1}
    server.stop()
