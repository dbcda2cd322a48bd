"""Components from npm, unmodified, each driven through what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from convex import ConvexClient

from tests.components.apps import HERE, wait_for
from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import StartServer


@pytest.fixture(scope="module")
def server(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> FenchelServer:
    server: FenchelServer = start_server()
    folder: Path = tmp_path_factory.mktemp("components") / "app"
    app = ConvexApp.copy(HERE / "npm_app", folder, server=server)
    app.deploy()
    return server


@pytest.fixture
def client(server: FenchelServer) -> ConvexClient:
    return ConvexClient(server.url)


def wait_for_event(client: ConvexClient, text: str) -> list[str]:
    events: list[str] = wait_for(client, "events:list", lambda found: text in found)
    return events


def test_sharded_counter(client: ConvexClient) -> None:
    for amount in (5.0, 2.0, -1.0):
        client.mutation("counters:add", {"name": "x", "amount": amount})
    assert client.query("counters:count", {"name": "x"}) == 6.0
    assert client.query("counters:count", {"name": "y"}) == 0.0


def test_rate_limiter(client: ConvexClient) -> None:
    assert [client.mutation("limits:send", {"key": "a"}) for _ in range(3)] == [True, True, False]
    assert client.mutation("limits:send", {"key": "b"})


def test_aggregate_and_migrations(client: ConvexClient) -> None:
    for score in (10.0, 20.0, 30.0):
        client.mutation("scores:add", {"player": "p", "score": score})
    summary = {"count": 3.0, "sum": 60.0, "above": 2.0, "best": 30.0}
    assert client.query("scores:summary") == summary
    client.mutation("scores:migrate")
    wait_for(client, "scores:ranks", lambda found: found == ["low", "high", "high"])


def test_action_retrier(client: ConvexClient) -> None:
    client.mutation("work:retry")
    wait_for(client, "events:list", lambda found: found.count("attempt") == 3)


def test_crons(client: ConvexClient) -> None:
    client.mutation("work:registerCron")
    wait_for(client, "events:list", lambda found: found.count("cron") == 2)
    client.mutation("work:deleteCron")


def test_workpool(client: ConvexClient) -> None:
    client.mutation("work:enqueue", {"name": "pat"})
    assert "greeted pat" in wait_for_event(client, "pool pat success")


def test_workflow(client: ConvexClient) -> None:
    client.mutation("work:startWorkflow", {"name": "kim"})
    assert "greeted kim" in wait_for_event(client, "workflow: hello kim")


def test_presence(client: ConvexClient) -> None:
    place: dict[str, Any] = {"roomId": "r", "userId": "u", "sessionId": "s", "interval": 10_000.0}
    tokens = client.mutation("rooms:heartbeat", place)
    room = {"roomToken": tokens["roomToken"]}
    assert client.query("rooms:list", room) == [{"userId": "u", "online": True}]
    client.mutation("rooms:disconnect", {"sessionToken": tokens["sessionToken"]})
    assert client.query("rooms:list", room) == [{"userId": "u", "online": False}]


def test_components_are_there_after_a_restart(server: FenchelServer) -> None:
    three: dict[str, Any] = {"name": "restart", "amount": 3.0}
    ConvexClient(server.url).mutation("counters:add", three)
    server.stop()
    server.start()
    client = ConvexClient(server.url)
    client.mutation("counters:add", three)
    assert client.query("counters:count", {"name": "restart"}) == 6.0
    client.mutation("work:enqueue", {"name": "again"})
    assert "greeted again" in wait_for_event(client, "pool again success")
