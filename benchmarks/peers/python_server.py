"""Servers of this package that others are measured beside: `python -m benchmarks.peers.NAME`."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import uvicorn

from benchmarks.load import ROOT
from benchmarks.peers.http_peer import HttpPeer
from benchmarks.peers.server_process import free_port, run_server


class PythonServer(NamedTuple):
    process_id: int
    port: int


def serve_asgi(application: Callable[..., Any], **options: Any) -> None:
    """Serve at the port of the command line, on what Fenchel stands on, until the process ends."""
    uvicorn.run(
        application,
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_level="warning",
        access_log=False,
        **options,
    )


@asynccontextmanager
async def run_python_server(module: str) -> AsyncIterator[PythonServer]:
    """Runs a module of this package until the block ends. Raises: as `run_server`."""
    port = free_port()
    with TemporaryDirectory() as folder:
        async with run_server(
            [sys.executable, "-m", f"benchmarks.peers.{module}", str(port)],
            port=port,
            log_path=Path(folder) / "server.log",
            cwd=ROOT,
            environment=os.environ,
        ) as server:
            yield PythonServer(server.pid, port)


@asynccontextmanager
async def open_fixed_peer(name: str, module: str) -> AsyncIterator[HttpPeer]:
    """A server with one answer to all, behind the verbs of a peer: it holds no documents."""
    async with run_python_server(module) as server:
        yield HttpPeer(
            name=name,
            process_id=server.process_id,
            port=server.port,
            module="messages",
            members=[""],
            socket_path="/",
            hello=(),
        )
