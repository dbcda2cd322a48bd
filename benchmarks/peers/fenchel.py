"""Fenchel as a user runs it: `fenchel serve`, and the app deployed by the official CLI.

One server gives two peers: the functions with fresh state per call, and the same functions in a
module that exports `experimental_reuseContext = true`. Another one makes a context for each call,
where the first has warm realms.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from benchmarks.fanout_process import NONCE, SESSION_ID
from benchmarks.peers.http_peer import HttpPeer, fill
from benchmarks.peers.node_packages import BENCHMARKS, run_node
from benchmarks.peers.server_process import free_port, run_server

DEPLOY_DEADLINE_SECONDS = 120
KEYS_DEADLINE_SECONDS = 30
MODULES = {"fenchel": "messages", "fenchel-reuse": "reused", "fenchel-fresh": "messages"}
INSTANCE_NAME = "benchmark"
INSTANCE_SECRET = "0" * 64


def open_fenchel(folder: Path) -> AbstractAsyncContextManager[list[HttpPeer]]:
    """A filled Fenchel on a free port, its data in `folder`."""
    return _open(folder, names=("fenchel", "fenchel-reuse"), options=())


def open_fresh_fenchel(folder: Path) -> AbstractAsyncContextManager[list[HttpPeer]]:
    """The same without warm realms: a fresh context for each call."""
    return _open(folder, names=("fenchel-fresh",), options=("--warm-realms", "0"))


@asynccontextmanager
async def _open(
    folder: Path, *, names: Sequence[str], options: Sequence[str]
) -> AsyncIterator[list[HttpPeer]]:
    port = free_port()
    executable = Path(sys.executable).parent / "fenchel"
    instance = ["--instance-name", INSTANCE_NAME, "--instance-secret", INSTANCE_SECRET]
    data = ["--data-dir", str(folder / "data")]
    ports = ["--port", str(port), "--site-port", str(free_port())]
    async with run_server(
        [executable, "serve", *ports, *data, *instance, *options],
        port=port,
        log_path=folder / "server.log",
        cwd=folder,
        environment=os.environ,
    ) as server:
        await _deploy(port, await _issue_admin_key(executable, instance))
        members = await fill(port)
        yield [_peer(name, server.pid, port, members) for name in names]


async def _issue_admin_key(executable: Path, instance: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        executable, "keys", *instance, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), KEYS_DEADLINE_SECONDS)
    if process.returncode != 0:
        raise RuntimeError("`fenchel keys` failed: see its message above")
    return output.decode().strip()


async def _deploy(port: int, admin_key: str) -> None:
    cli = BENCHMARKS / "node_modules" / "convex" / "bin" / "main.js"
    await run_node(
        cli,
        "deploy",
        "--typecheck",
        "disable",
        "--codegen",
        "disable",
        deadline_seconds=DEPLOY_DEADLINE_SECONDS,
        environment={
            "CI": "1",
            "CONVEX_SELF_HOSTED_URL": f"http://127.0.0.1:{port}",
            "CONVEX_SELF_HOSTED_ADMIN_KEY": admin_key,
        },
    )


def _peer(name: str, process_id: int, port: int, members: list[str]) -> HttpPeer:
    """Subscribers speak the sync protocol of the official client (client-protocol.md 3.4)."""
    add = {
        "type": "Add",
        "queryId": 0,
        "udfPath": f"{MODULES[name]}:list",
        "args": [{"channel": "channel-0", "nonce": NONCE}],
    }
    connect = {
        "type": "Connect",
        "sessionId": SESSION_ID,
        "connectionCount": 0,
        "lastCloseReason": None,
    }
    subscribe = {"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1}
    return HttpPeer(
        name=name,
        process_id=process_id,
        port=port,
        module=MODULES[name],
        members=members,
        socket_path="/api/1.48.0/sync",
        hello=(json.dumps(connect), json.dumps(subscribe | {"modifications": [add]})),
    )
