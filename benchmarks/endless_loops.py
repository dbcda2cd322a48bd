"""What do endless loops of one client cost the small queries of another?

Each loop begins again as soon as the server has stopped it. Only Fenchel is asked: the other peers
have no time limit, or stop working.
"""

# Estimate: a loop holds its worker for a second of processor time; who is in that worker moves
# within 35 ms, so at one connection less than one query in a hundred is late by that, and the
# others pay for the cores that the loops take. Aim: p99 at most 50 ms above that without loops.

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp

from benchmarks.list_query import REQUEST
from benchmarks.peers import FENCHEL, HttpPeer
from benchmarks.rounds import Bench, Measurement, measure_load

# Fewer than workers, as many as workers and relief can bear, and more.
LOOP_COUNTS = (0, 1, 3, 8)


async def measure(bench: Bench) -> list[Measurement]:
    """Throughput and latency beside each number of loops, one connection each."""
    measurements: list[Measurement] = []
    for peer in bench.peers:
        if isinstance(peer, HttpPeer) and peer.name == FENCHEL:
            of_peer = replace(bench, peers=[peer], plan=replace(bench.plan, connections=(1,)))
            for count in LOOP_COUNTS:
                async with _looping(peer.port, count):
                    name = f"endless_loops.l{count}"
                    measurements += await measure_load(of_peer, name, REQUEST)
    return measurements


@asynccontextmanager
async def _looping(port: int, count: int) -> AsyncIterator[None]:
    """While the block runs, so many loops do."""
    nonces = itertools.count()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def loop() -> None:
            while True:
                args = [{"nonce": float(next(nonces))}]
                body = {"path": "loops:forever", "args": args, "format": "convex_encoded_json"}
                async with session.post("/api/query", json=body) as response:
                    await response.read()

        tasks = [asyncio.create_task(loop(), name="endless loop") for _ in range(count)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
