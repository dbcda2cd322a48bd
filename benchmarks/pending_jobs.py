"""What do 100,000 scheduled functions cost while they wait, an idle server and a busy one?

The same server is looked at without jobs and with them, each time freshly started.
"""

# Estimate: the executor sleeps until the first of them is due and reads no others; a start reads
# those that are due, none. So: nothing, idle or busy, but 60 MB on disk. What the server has of
# them in memory went with the process that planned them.

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import aiohttp

from benchmarks.deployed_app import DeployedApp, deployed_app
from benchmarks.engine.plan import EnginePlan
from benchmarks.jobs_app import deploy_jobs, plan_jobs
from benchmarks.load import Check, HttpLoad, Load, Request, run_http_load
from benchmarks.process_usage import process_resident_bytes
from benchmarks.rounds import Measurement

REFERENCE_PEER = "no-jobs"
_DUE_SECONDS = 86_400.0
_PLANNERS = 4
# The second look at an idle server, when what follows a start is over.
_IDLE_SECONDS = (5.0, 10.0)
_BUSY_SECONDS = 2.0
_WARM_UP_SECONDS = 0.5
_CONNECTIONS = 8
_REQUEST = Request(
    endpoint="mutation", function="add", args='{"number":%(sequence)d.0}', check=Check.SEND
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Figures of a server that was just started; a share of the processor is of one core."""

    start_seconds: float
    start_cpu_seconds: float
    memory_mebibytes: float
    idle_shares: tuple[float, ...]
    mutations_per_second: float
    mutation_cpu_us: float


async def measure(plan: EnginePlan) -> list[Measurement]:
    """With as many jobs as the plan's usual table has documents."""
    return await asyncio.to_thread(_measure, plan.document_count)


def _measure(count: int) -> list[Measurement]:
    with deployed_app() as deployed:
        deploy_jobs(deployed)
        without = _look(deployed, first_sequence=0)
        asyncio.run(_fill(deployed.server.url, count))
        with_jobs = _look(deployed, first_sequence=10_000_000)
    name = f"pending_jobs.j{count}"
    return [*_figures(name, REFERENCE_PEER, without), *_figures(name, "fenchel", with_jobs)]


async def _fill(url: str, count: int) -> None:
    due_ms = (time.time() + _DUE_SECONDS) * 1e3
    share = -(-count // _PLANNERS)
    async with aiohttp.ClientSession(url) as session, asyncio.TaskGroup() as group:
        for first in range(0, count, share):
            size = min(share, count - first)
            group.create_task(plan_jobs(session, "mark", first=first, count=size, due_ms=due_ms))


def _look(deployed: DeployedApp, *, first_sequence: int) -> _Look:
    deployed.server.stop()
    began = time.perf_counter()
    deployed.server.start()
    start_seconds = time.perf_counter() - began
    start_cpu_seconds = deployed.server_seconds()
    shares = tuple(_idle_share(deployed, seconds) for seconds in _IDLE_SECONDS)
    memory = process_resident_bytes(deployed.process_id) / (1 << 20)
    rate, cost = _busy(deployed, first_sequence)
    return _Look(
        start_seconds=start_seconds,
        start_cpu_seconds=start_cpu_seconds,
        memory_mebibytes=memory,
        idle_shares=shares,
        mutations_per_second=rate,
        mutation_cpu_us=cost,
    )


def _idle_share(deployed: DeployedApp, seconds: float) -> float:
    used = deployed.server_seconds()
    time.sleep(seconds)
    return (deployed.server_seconds() - used) / seconds


def _busy(deployed: DeployedApp, first_sequence: int) -> tuple[float, float]:
    """Mutations per second, and microseconds of processor time of each."""
    load = Load(
        request=_REQUEST,
        connections=_CONNECTIONS,
        seconds=_BUSY_SECONDS,
        warm_up_seconds=_WARM_UP_SECONDS,
        first_sequence=first_sequence,
    )
    spec = HttpLoad(
        port=deployed.server.port,
        process_id=deployed.process_id,
        module="jobs",
        members=[""],
        load=load,
    )
    used = deployed.server_seconds()
    report = asyncio.run(run_http_load(spec))
    used = deployed.server_seconds() - used
    # The time of the processor is that of all requests, those to warm up included.
    share = _BUSY_SECONDS / (_BUSY_SECONDS + _WARM_UP_SECONDS)
    return report.requests_per_second, used * share / report.count * 1e6


def _figures(name: str, peer: str, look: _Look) -> list[Measurement]:
    first, settled = look.idle_shares
    figures = {
        ("start", "ms"): look.start_seconds * 1e3,
        ("start_cpu", "ms"): look.start_cpu_seconds * 1e3,
        ("memory", "MiB"): look.memory_mebibytes,
        ("idle_cpu_at_first", "%"): first * 100,
        ("idle_cpu", "%"): settled * 100,
        ("mutations_per_second", "1/s"): look.mutations_per_second,
        ("mutation_cpu", "us"): look.mutation_cpu_us,
    }
    return [
        Measurement(name=f"{name}.{figure}", value=value, unit=unit, peer=peer)
        for (figure, unit), value in figures.items()
    ]
