"""The clients of the PyPI package `convex`: HTTP and WebSocket."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.fenchel_server import HERE, clean_environment

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer


@pytest.fixture(scope="module")
def results(app: ConvexApp, server: FenchelServer) -> Any:
    """What clients/python_clients.py got; a client that hangs is ended with its process."""
    done = subprocess.run(
        [sys.executable, HERE / "clients/python_clients.py", server.url, "python clients"],
        capture_output=True,
        text=True,
        timeout=180,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("client", ["http", "websocket"])
def test_both_clients_run_queries_mutations_and_actions(results: Any, client: str) -> None:
    assert results[client]["listed"] == ["first"]
    assert results[client]["cleared"] == 1
    assert results[client]["left"] == []


@pytest.mark.parametrize("client", ["http", "websocket"])
def test_both_clients_receive_the_data_of_a_convex_error(results: Any, client: str) -> None:
    assert results[client]["refused"] == {"code": "refused", "attempts": 3}


@pytest.mark.parametrize("client", ["http", "websocket"])
def test_both_clients_report_a_failing_function(results: Any, client: str) -> None:
    assert "the developer made a mistake" in results[client]["failed"]


def test_a_subscription_yields_the_next_result_after_a_mutation(results: Any) -> None:
    assert results["updates"] == [[], ["live"]]
