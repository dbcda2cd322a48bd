"""How fast is the same query with the same arguments again, while nothing it read has changed?

Fenchel answers from the query cache after checking that no commit touched the read set. The peers
have no such cache and read again; the bare server, on which Fenchel stands, knows only the answer.
"""

# Estimate for one request at one connection:
#   network  loopback, 0.2 KB there and 5 KB back                           ~ 30 µs
#   disk     none
#   memory   the cached answer's 5 KB copied once                           ~  1 µs
#   CPU      HTTP and JSON 40 µs, cache key and validity 10 µs; no worker is woken
# so about 0.1 ms; one core of Python answers some 15,000 requests/s through uvicorn.

from __future__ import annotations

from dataclasses import replace

from benchmarks.load import Check, Request
from benchmarks.peers.bare_server import open_bare_server
from benchmarks.rounds import Bench, Measurement, measure_load

REQUEST = Request(
    endpoint="query",
    function="list",
    args='{"channel":"channel-0","nonce":0.0}',
    check=Check.LIST,
)


async def measure(bench: Bench) -> list[Measurement]:
    """Throughput and latency at each number of connections of the plan."""
    async with open_bare_server() as bare:
        with_bare = replace(bench, peers=[*bench.peers, bare])
        return await measure_load(with_bare, "cached_list", REQUEST)
