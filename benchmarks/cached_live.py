"""How fast is the same query over a WebSocket: added to a query set, until its result has come?

As `cached_list`, by the sync protocol: each request removes the connection's query and adds it
again. Aim: at least half of what the bare server gives the same requests over HTTP (`cached_list`);
beside it the same library for WebSockets with an application that sends a fixed Transition.
"""

# Estimate for one request at one connection:
#   network  loopback, 0.2 KB there and 5 KB back                           ~ 30 us
#   disk     none
#   memory   the cached answer's 5 KB copied three times                    ~  2 us
#   CPU      frame and JSON 30 us, the state machine's step 20 us, a look into the query cache and
#            one entry of the function log 20 us, subscription 10 us, encoding 5 us
# so about 0.15 ms, and some 8,000 requests/s of one core.

from __future__ import annotations

from dataclasses import replace

from benchmarks.cached_list import REQUEST
from benchmarks.load import Load, LoadReport
from benchmarks.peers import FENCHEL, HttpPeer, Peer
from benchmarks.peers.bare_server import open_bare_server
from benchmarks.rounds import Bench, Measurement, measure_load


async def measure(bench: Bench) -> list[Measurement]:
    """Throughput and latency at each number of connections of the plan."""
    peers = [peer for peer in bench.peers if peer.name == FENCHEL]
    async with open_bare_server() as bare:
        with_bare = replace(bench, peers=[*peers, bare])
        return await measure_load(with_bare, "cached_live", REQUEST, run=_run)


async def _run(peer: Peer, load: Load) -> LoadReport:
    assert isinstance(peer, HttpPeer)
    return await peer.run_sockets(load)
