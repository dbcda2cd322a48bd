"""How many requests can the load generator itself make and check? No peer's figure may come near.

It drives a server that answers a fixed list of 20 documents and does nothing else.
"""

# Estimate: 10 µs in the generator (build, write, read, check), 5 µs in the fixed server, 15 µs of
# loopback: about 20,000 requests/s at one connection, 60,000 at 16 with a core for each side.

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load import ROOT, Check, Request
from benchmarks.peers.http_peer import HttpPeer
from benchmarks.peers.server_process import free_port, run_server
from benchmarks.rounds import Bench, Measurement, measure_load


async def measure(bench: Bench) -> list[Measurement]:
    """Throughput and latency of the generator against a fixed answer."""
    port = free_port()
    with TemporaryDirectory() as folder:
        async with run_server(
            [sys.executable, "-m", "benchmarks.peers.fixed_answer", str(port)],
            port=port,
            log_path=Path(folder) / "server.log",
            cwd=ROOT,
            environment=os.environ,
        ) as server:
            peer = HttpPeer(
                name="fixed-answer",
                process_id=server.pid,
                port=port,
                module="messages",
                members=[""],
                socket_path="/",
                hello=(),
            )
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
