"""Node 24's own SQLite behind its own HTTP server: WAL, synchronous=FULL, a commit per mutation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.peers.http_peer import HttpPeer, fill
from benchmarks.peers.node_packages import BENCHMARKS, node_environment, node_path
from benchmarks.peers.server_process import free_port, run_server


@asynccontextmanager
async def open_node_sqlite(folder: Path) -> AsyncIterator[list[HttpPeer]]:
    """The filled server on a free port, its database in `folder`."""
    port = free_port()
    command: list[str | Path] = [
        node_path(),
        "peers/node_sqlite.mjs",
        str(port),
        folder / "benchmark.sqlite",
    ]
    async with run_server(
        command,
        port=port,
        log_path=folder / "server.log",
        cwd=BENCHMARKS,
        environment=node_environment(),
    ) as server:
        members = await fill(port)
        yield [
            HttpPeer(
                name="node-sqlite",
                process_id=server.pid,
                port=port,
                module="messages",
                members=members,
                socket_path="/?channel=channel-0",
                hello=(),
            )
        ]
