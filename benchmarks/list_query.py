"""How fast is a query that reads 20 documents of 100,000 by an index, newest first, over HTTP?

Its arguments differ each time, so no query cache answers it: user code runs for every request.
"""

# Estimate for one request at one connection, from the prototype's figures (two shared cores):
#   network  loopback, 0.2 KB there and 5 KB back                           ~ 30 µs
#   disk     none: 100,000 documents of 200 bytes are in the page cache
#   memory   20 index rows and documents, 4 KB of JSON copied three times   ~ 10 µs
#   CPU      HTTP and JSON 50 µs, transaction with read set 100 µs, two trips to the worker 100 µs,
#            context from a snapshot 335 µs when not prepared ahead, cold user code 250 µs
# so about 0.9 ms fresh and 0.35 ms with reuse; 1,000 requests/s fresh per core that runs workers.

from __future__ import annotations

from benchmarks.load import Check, Request
from benchmarks.rounds import Bench, Measurement, measure_load

REQUEST = Request(
    endpoint="query",
    function="list",
    args='{"channel":"channel-%(channel)d","nonce":%(sequence)d.0}',
    check=Check.LIST,
)


async def measure(bench: Bench) -> list[Measurement]:
    """Throughput and latency at each number of connections of the plan."""
    return await measure_load(bench, "list_query", REQUEST)
