"""How long from the call of a mutation until all subscribers have the new result of their query?

Each subscribes over a WebSocket of its own, to the same list or to one with arguments of its own;
the mutation comes over HTTP, one at a time. The peers do by hand what Fenchel derives from read
sets: after the commit they read once and tell everybody, node-sqlite as a plain `ws` broadcast.
"""

# Estimate for one send to 1,000 subscribers of the same list:
#   network  1,001 answers over loopback, 5 KB each                         ~ 10 ms in all
#   disk     one fdatasync                                                  ~ 150 us
#   memory   one result of 5 KB, copied into each client's message          ~ 1 ms
#   CPU      one mutation and one run of the query 2 ms; per subscriber a state machine's step,
#            a copy and a write, of which the system call is about a third  ~ 30 us
# so about 40 ms until the last of them has it; a `ws` broadcast is the system calls and little
# else. Distinct queries cost a run each, about 1 ms.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median

from benchmarks.load import FanoutReport
from benchmarks.peers import FENCHEL
from benchmarks.rounds import Bench, Measurement

FIGURES: dict[str, tuple[str, Callable[[FanoutReport], float]]] = {
    "connect": ("ms", lambda report: report.connect_ms),
    "all_p50": ("ms", lambda report: report.all_p50_ms),
    "all_p99": ("ms", lambda report: report.all_p99_ms),
    "each_p50": ("ms", lambda report: report.each_p50_ms),
    "each_p99": ("ms", lambda report: report.each_p99_ms),
    "response_p50": ("ms", lambda report: report.response_p50_ms),
    "server_cpu": ("us", lambda report: report.server_cpu_us),
    "memory": ("KiB", lambda report: report.memory_kib),
    "sent": ("B", lambda report: report.sent_bytes),
}
WARM_UP_SENDS = 5
# Many subscribers need fewer sends for the same number of arrivals.
ARRIVALS_MAX = 20_000
SENDS_MIN = 5
# Beyond it one send takes seconds, so one peer is asked, for one round of a few sends.
DISTINCT_MAX = 1_000
LARGE_DISTINCT_SENDS = 3


async def measure(bench: Bench) -> list[Measurement]:
    """Time until each and all subscribers have the result, and what the server spends on it."""
    measurements: list[Measurement] = []
    for subscribers in bench.plan.subscribers:
        measurements += await _measure(bench, subscribers, is_distinct=False)
    for subscribers in bench.plan.subscribers:
        if subscribers <= DISTINCT_MAX:
            measurements += await _measure(bench, subscribers, is_distinct=True)
        else:
            peers = [peer for peer in bench.peers if peer.name == FENCHEL]
            once = replace(bench, peers=peers, plan=replace(bench.plan, rounds=1))
            measurements += await _measure(once, subscribers, is_distinct=True)
    return measurements


async def _measure(bench: Bench, subscribers: int, *, is_distinct: bool) -> list[Measurement]:
    reports: dict[str, list[FanoutReport]] = {}
    is_large = is_distinct and subscribers > DISTINCT_MAX
    sends = max(SENDS_MIN, min(bench.plan.sends, ARRIVALS_MAX // subscribers))
    for _ in range(bench.plan.rounds):
        for peer in bench.peers:
            report = await peer.run_fanout(
                subscribers=subscribers,
                is_distinct=is_distinct,
                warm_up_sends=1 if is_large else WARM_UP_SENDS,
                sends=LARGE_DISTINCT_SENDS if is_large else sends,
                first_sequence=next(bench.first_sequences),
            )
            if report is not None:
                reports.setdefault(peer.name, []).append(report)
    question = "live_fanout_distinct" if is_distinct else "live_fanout"
    return [
        Measurement(
            name=f"{question}.s{subscribers}.{figure}",
            value=_summarize(figure, [value_of(report) for report in of_peer]),
            unit=unit,
            peer=name,
        )
        for name, of_peer in reports.items()
        for figure, (unit, value_of) in FIGURES.items()
    ]


def _summarize(figure: str, values: list[float]) -> float:
    """The median; of memory the most, which is that of the first round."""
    return max(values) if figure == "memory" else median(values)
