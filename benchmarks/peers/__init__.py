"""The systems that are measured, each behind the same two verbs: run a load, run a fan-out.

The folder also holds the programs that the peers run: Node and workerd scripts. A server peer is
started on a free port with an empty data folder, filled with the same documents, and ended with
the run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.peers.convex_test import open_convex_test
from benchmarks.peers.fenchel import open_fenchel, open_fresh_fenchel
from benchmarks.peers.http_peer import HttpPeer
from benchmarks.peers.node_packages import install_packages
from benchmarks.peers.node_sqlite import open_node_sqlite
from benchmarks.peers.peer import Peer
from benchmarks.peers.workerd import open_workerd

__all__ = ["FENCHEL", "OPENERS", "REFERENCE_PEER", "HttpPeer", "Peer", "open_peers"]

FENCHEL = "fenchel"
REFERENCE_PEER = "workerd"
OPENERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Sequence[Peer]]]] = {
    FENCHEL: open_fenchel,
    "fenchel-fresh": open_fresh_fenchel,
    "workerd": open_workerd,
    "node-sqlite": open_node_sqlite,
    "convex-test": open_convex_test,
}


@asynccontextmanager
async def open_peers(names: Sequence[str], directory: Path) -> AsyncIterator[list[Peer]]:
    """Starts and fills the named systems; data and server logs go to folders of `directory`."""
    await install_packages()
    async with AsyncExitStack() as stack:
        peers: list[Peer] = []
        for name in names:
            folder = directory / name
            folder.mkdir()
            peers += await stack.enter_async_context(OPENERS[name](folder))
        yield peers
