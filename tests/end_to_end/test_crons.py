"""Crons that the official CLI deployed (npm convex 1.48, `cronJobs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convex import ConvexClient

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer


def test_an_interval_runs_once_with_the_push_and_not_with_the_next(
    app: ConvexApp, server: FenchelServer
) -> None:
    client = ConvexClient(server.url)
    runs = next(found for found in client.subscribe("repeated:runs", {}) if found)
    assert runs == ["daily"]
    assert app.convex("deploy").returncode == 0
    assert client.query("repeated:runs", {}) == ["daily"]
