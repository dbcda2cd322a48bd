"""How many requests can the load generator itself make and check? No peer's figure may come near.

It drives a server that answers a fixed list of 20 documents and does nothing else.
"""

# Estimate: 10 µs in the generator (build, write, read, check), 5 µs in the fixed server, 15 µs of
# loopback: about 20,000 requests/s at one connection, 60,000 at 16 with a core for each side.

from __future__ import annotations

from dataclasses import replace

from benchmarks.load import Check, Request
from benchmarks.peers.python_server import open_fixed_peer
from benchmarks.rounds import Bench, Measurement, measure_load


async def measure(bench: Bench) -> list[Measurement]:
    """Throughput and latency of the generator against a fixed answer."""
    async with open_fixed_peer("fixed-answer", "fixed_answer") as peer:
        return await measure_load(
            replace(bench, peers=[peer]),
            "generator_ceiling",
            Request(
                endpoint="query",
                function="list",
                args='{"channel":"channel-0","nonce":%(sequence)d.0}',
                check=Check.LIST,
            ),
        )
