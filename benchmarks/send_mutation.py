"""How fast is a mutation that inserts a document and patches another, durable when it is answered?

Each connection patches its own row, so no two mutations conflict. All servers sync to disk before
they answer (SQLite WAL, one fsync or fdatasync per commit or group of commits).
"""

# Estimate for one request at one connection:
#   network  loopback, 0.3 KB there and 0.1 KB back                         ~ 20 µs
#   disk     one fdatasync of a few WAL pages, shared by a group            ~ 150 µs
#   memory   two documents and six index rows                               ~  5 µs
#   CPU      HTTP and JSON 50 µs, transaction and conflict check 100 µs, SQLite rows 50 µs, two or
#            three trips to the worker 150 µs, fresh context and cold user code 150 to 500 µs
# so about 0.8 ms fresh and 0.6 ms with reuse; group commit takes the disk out of the way at 16.

from __future__ import annotations

from benchmarks.load import Check, Request
from benchmarks.rounds import Bench, Measurement, measure_load

REQUEST = Request(
    endpoint="mutation",
    function="send",
    args=(
        '{"channel":"channel-%(channel)d","author":"%(member)s",'
        '"body":"message %(sequence)d of the load generator"}'
    ),
    check=Check.SEND,
)


async def measure(bench: Bench) -> list[Measurement]:
    """Throughput and latency at each number of connections of the plan."""
    return await measure_load(bench, "send_mutation", REQUEST)
