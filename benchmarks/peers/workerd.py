"""Cloudflare's workerd: the benchmark app as one Durable Object with SQLite on the local disk.

Durability, seen with strace on 2026-11: each mutation writes its WAL frames and calls fsync before
the response leaves (the output gate holds it). So its sends are as durable as Fenchel's; no two
mutations share an fsync, because the object runs one at a time to its commit.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.peers.http_peer import HttpPeer, fill
from benchmarks.peers.node_packages import BENCHMARKS, run_node
from benchmarks.peers.server_process import free_port, run_server


@asynccontextmanager
async def open_workerd(folder: Path) -> AsyncIterator[list[HttpPeer]]:
    """A filled workerd on a free port, its database in `folder`."""
    disk = folder / "disk"
    disk.mkdir()
    port = free_port()
    command: list[str | Path] = [
        await _binary_path(),
        "serve",
        "peers/workerd.capnp",
        "--directory-path",
        f"disk={disk}",
        "--socket-addr",
        f"http=127.0.0.1:{port}",
    ]
    async with run_server(
        command,
        port=port,
        log_path=folder / "server.log",
        cwd=BENCHMARKS,
        environment=os.environ,
    ) as server:
        members = await fill(port)
        yield [
            HttpPeer(
                name="workerd",
                process_id=server.pid,
                port=port,
                module="messages",
                members=members,
                socket_path="/?channel=channel-0",
                hello=(),
                # With 10,000 a Durable Object closes some of them.
                subscribers_max=1_000,
            )
        ]


async def _binary_path() -> str:
    """The native binary that the npm package chose for this platform."""
    print_path = BENCHMARKS / "peers" / "print_workerd_path.mjs"
    return (await run_node(print_path, "", deadline_seconds=30)).strip()
