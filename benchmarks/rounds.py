"""How a question is measured: the same load on every peer, in interleaved rounds, medians kept.

Rounds go peer by peer, so that a change of the machine's mood touches all peers alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.load import Load, LoadReport, Request
from benchmarks.peers.peer import Peer

# Each load gets its own million of numbers, so that no two requests of a run are the same.
SEQUENCES_PER_LOAD = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long to look. Percentiles of a quick run are only a hint."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    connections: tuple[int, ...]
    subscribers: tuple[int, ...]
    sends: int


FULL = Plan(
    rounds=3,
    seconds=2.0,
    warm_up_seconds=0.5,
    connections=(1, 16, 64),
    subscribers=(1, 100, 1_000, 10_000),
    sends=100,
)
QUICK = Plan(
    rounds=1, seconds=1.0, warm_up_seconds=0.3, connections=(1, 16), subscribers=(1, 100), sends=20
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One figure of one peer: the median over the rounds."""

    name: str
    value: float
    unit: str
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a question measures with. Sequences start anew in each run."""

    peers: Sequence[Peer]
    plan: Plan
    first_sequences: Iterator[int] = field(
        default_factory=lambda: itertools.count(0, SEQUENCES_PER_LOAD)
    )


async def run_load(peer: Peer, load: Load) -> LoadReport:
    """Over the way that the peer has for single requests."""
    return await peer.run(load)


async def measure_load(
    bench: Bench,
    name: str,
    request: Request,
    *,
    run: Callable[[Peer, Load], Awaitable[LoadReport]] = run_load,
) -> list[Measurement]:
    """Throughput and latency of one kind of request at each number of connections; `run` puts a
    load on a peer.

    Gives measurements named <name>.c<connections>.<figure>.
    """
    measurements: list[Measurement] = []
    for connections in bench.plan.connections:
        reports: dict[str, list[LoadReport]] = {peer.name: [] for peer in bench.peers}
        for _ in range(bench.plan.rounds):
            for peer in bench.peers:
                load = Load(
                    request=request,
                    connections=connections,
                    seconds=bench.plan.seconds,
                    warm_up_seconds=bench.plan.warm_up_seconds,
                    first_sequence=next(bench.first_sequences),
                )
                reports[peer.name].append(await run(peer, load))
        for peer_name, of_peer in reports.items():
            measurements += _summarize(f"{name}.c{connections}", peer_name, of_peer)
    return measurements


def _summarize(name: str, peer: str, reports: Sequence[LoadReport]) -> list[Measurement]:
    figures = {
        ("requests_per_second", "1/s"): median(r.requests_per_second for r in reports),
        ("p50", "ms"): median(r.p50_ms for r in reports),
        ("p99", "ms"): median(r.p99_ms for r in reports),
        ("generator_cpu", "cores"): median(r.generator_cpu for r in reports),
    }
    server_cpu = [r.server_cpu_us for r in reports if r.server_cpu_us is not None]
    if server_cpu:
        figures["server_cpu", "us"] = median(server_cpu)
    return [
        Measurement(name=f"{name}.{figure}", value=value, unit=unit, peer=peer)
        for (figure, unit), value in figures.items()
    ]
