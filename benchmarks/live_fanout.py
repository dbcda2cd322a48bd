"""How long from the call of a mutation until 100 subscribers have the new result of their query?

All subscribe to the same list over a WebSocket each; the mutation comes over HTTP, one at a time.
The peers do by hand what Fenchel derives from read sets: after the commit they read once and tell
everybody.
"""

# Estimate for one send:
#   network  101 answers over loopback, 5 KB each                           ~ 1 ms in all
#   disk     one fdatasync                                                  ~ 150 µs
#   memory   one result of 5 KB, encoded for each of 100 sockets            ~ 0.5 ms
#   CPU      the mutation 0.8 ms, one run of the query 0.9 ms (identical subscriptions share it),
#            100 times refresh, compare, encode and write at 50 to 100 µs   ~ 5 to 10 ms
# so about 8 to 12 ms until the last of the 100 has it, nearly all of it Python per subscriber.

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks.load import FanoutReport
from benchmarks.rounds import Bench, Measurement

FIGURES: dict[str, Callable[[FanoutReport], float]] = {
    "all_p50": lambda report: report.all_p50_ms,
    "all_p99": lambda report: report.all_p99_ms,
    "each_p50": lambda report: report.each_p50_ms,
    "each_p99": lambda report: report.each_p99_ms,
    "response_p50": lambda report: report.response_p50_ms,
}


async def measure(bench: Bench) -> list[Measurement]:
    """Time until each and all subscribers have the result, and until the sender is answered."""
    reports: dict[str, list[FanoutReport]] = {}
    for _ in range(bench.plan.rounds):
        for peer in bench.peers:
            report = await peer.run_fanout(
                subscribers=bench.plan.subscribers,
                sends=bench.plan.sends,
                first_sequence=next(bench.first_sequences),
            )
            if report is not None:
                reports.setdefault(peer.name, []).append(report)
    return [
        Measurement(
            name=f"live_fanout.s{bench.plan.subscribers}.{figure}",
            value=median(value_of(report) for report in of_peer),
            unit="ms",
            peer=name,
        )
        for name, of_peer in reports.items()
        for figure, value_of in FIGURES.items()
    ]
