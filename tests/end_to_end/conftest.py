"""Servers and deployed apps shared by the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.fenchel_server import HERE, ConvexApp, FenchelServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    StartServer = Callable[[], FenchelServer]


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts servers with a fresh data folder each; all are ended after the last test."""
    servers: list[FenchelServer] = []

    def start() -> FenchelServer:
        folder: Path = tmp_path_factory.mktemp("server") / "data"
        server = FenchelServer(data_folder=folder, port=free_port(), site_port=free_port())
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        if server.process is not None:
            server.kill()


@pytest.fixture(scope="session")
def server(start_server: StartServer) -> FenchelServer:
    """A server that tests share and leave running; each test uses its own topic."""
    return start_server()


@pytest.fixture(scope="session")
def app(server: FenchelServer, tmp_path_factory: pytest.TempPathFactory) -> ConvexApp:
    """The test app, deployed to the shared server."""
    folder = tmp_path_factory.mktemp("app") / "app"
    deployed = ConvexApp.copy(HERE / "app", folder, server=server)
    deployed.deploy()
    return deployed


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic that no other test writes to."""
    return str(request.node.name)
