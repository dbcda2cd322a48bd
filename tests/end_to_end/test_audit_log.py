"""`log.audit` of npm convex 1.48: lines in the server's log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from convex import ConvexClient

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer


@pytest.fixture
def client(app: ConvexApp, server: FenchelServer) -> ConvexClient:
    return ConvexClient(server.url)


def bodies(server: FenchelServer, topic: str) -> list[Any]:
    """What was written about the topic, oldest first."""
    lines = [line for line in server.log.splitlines() if " fenchel.audit " in line]
    found = [json.loads(line[line.index("{") :])["body"] for line in lines]
    return [body for body in found if body.get("topic") == topic]


def test_each_call_of_a_query_is_written_down(
    client: ConvexClient, server: FenchelServer, topic: str
) -> None:
    for _ in range(2):
        assert client.query("audited:look", {"topic": topic}) == topic
    first, second = bodies(server, topic)
    assert (first["action"], first["source"]["actor"]) == ("looked", None)
    assert first["source"]["ip"] == "127.0.0.1"
    assert second["at"] > first["at"]


def test_a_mutation_that_fails_is_written_down(
    client: ConvexClient, server: FenchelServer, topic: str
) -> None:
    with pytest.raises(Exception, match="no"):
        client.mutation("audited:refuse", {"topic": topic})
    assert [body["action"] for body in bodies(server, topic)] == ["refused"]


def test_actions_are_told_that_they_cannot(client: ConvexClient) -> None:
    with pytest.raises(Exception, match=r"`log\.audit` is for queries and mutations"):
        client.action("audited:byAction", {})
