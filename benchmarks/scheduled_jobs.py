"""How many scheduled functions per second get done, of those that all fall due at once?

Mutations insert a row, in one transaction with the job's end; actions call that mutation. The peer
is huey with SQLite, as durable, whose task inserts the same row: it forgets a task before it runs
it, so a crash may lose one, which is what Fenchel promises of actions only.
"""

# Estimate for a mutation: start 100 µs of Python, the function as in `send_mutation` 0.6 ms of
# worker, a commit of three documents shared by the eight that run at once 0.4 ms: 600 to 900/s on
# two cores, a third more in warm realms. An action is a commit more before it and one behind it,
# and a realm of its own: half of that.

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import aiohttp

from benchmarks.deployed_app import deployed_app
from benchmarks.engine.plan import EnginePlan
from benchmarks.jobs_app import deploy_jobs, has_mark, plan_jobs, read_ends
from benchmarks.load import ROOT
from benchmarks.peers.huey_jobs import open_marks, open_queue
from benchmarks.process_usage import tree_cpu_seconds
from benchmarks.rounds import Measurement

REFERENCE_PEER = "huey"
_ROUNDS_MAX = 3
# From the first of them planned until they are due; twice as long if planning takes longer.
_LEAD_SECONDS = 3.0
_ROUND_SECONDS_MAX = 120.0
_POLL_SECONDS = 0.2
# A function of the app, and the kind of job that it is.
_KINDS = {"mark": "mutations", "act": "actions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    """`plan(name, first, due)` plans the jobs of a round, with numbers from `first` on;
    `wait_done(first)` gives when the last of them ended. Times are seconds since the epoch.
    """

    name: str
    process_id: int
    plan: Callable[[str, int, float], Awaitable[None]]
    wait_done: Callable[[int], Awaitable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    seconds: float
    server_seconds: float


async def measure(plan: EnginePlan) -> list[Measurement]:
    """Mutations, then actions; medians over interleaved rounds."""
    rounds, count = min(plan.rounds, _ROUNDS_MAX), 2 * plan.operations
    firsts = itertools.count(0, count)
    found: dict[tuple[str, str], list[_Round]] = {}
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(opened)
            for opened in (
                _fenchel("fenchel", count),
                _fenchel("fenchel-fresh", count, "--warm-realms", "0"),
                _huey(count),
            )
        ]
        for number in range(rounds * len(_KINDS)):
            function, kind = list(_KINDS.items())[number % len(_KINDS)]
            for peer in peers:
                run = await _run_round(peer, function, firsts)
                found.setdefault((kind, peer.name), []).append(run)
    return [
        figure
        for (kind, peer_name), runs in found.items()
        for figure in _figures(f"scheduled_jobs.{kind}", peer_name, count, runs)
    ]


def _figures(name: str, peer: str, count: int, runs: Sequence[_Round]) -> list[Measurement]:
    rate = median(count / run.seconds for run in runs)
    cost = median(run.server_seconds / count * 1e6 for run in runs)
    return [
        Measurement(name=f"{name}.per_second", value=rate, unit="1/s", peer=peer),
        Measurement(name=f"{name}.server_cpu", value=cost, unit="us", peer=peer),
    ]


async def _run_round(peer: _Peer, function: str, firsts: Iterator[int]) -> _Round:
    async with asyncio.timeout(_ROUND_SECONDS_MAX):
        first, due = await _plan(peer, function, firsts)
        # Short of the time that they are due, so that all they cost counts.
        await asyncio.sleep(max(0.0, due - time.time() - 0.1))
        used = tree_cpu_seconds(peer.process_id)
        done = await peer.wait_done(first)
        used = tree_cpu_seconds(peer.process_id) - used
    return _Round(seconds=done - due, server_seconds=used)


async def _plan(peer: _Peer, function: str, firsts: Iterator[int]) -> tuple[int, float]:
    """The number of the first job, and when all are due: a time that has not come yet."""
    lead_seconds = _LEAD_SECONDS
    while True:
        first, due = next(firsts), time.time() + lead_seconds
        await peer.plan(function, first, due)
        if time.time() < due:
            return first, due
        await peer.wait_done(first)
        lead_seconds *= 2


@asynccontextmanager
async def _fenchel(name: str, count: int, *options: str) -> AsyncIterator[_Peer]:
    with deployed_app(*options) as deployed:
        await asyncio.to_thread(deploy_jobs, deployed)
        async with aiohttp.ClientSession(deployed.server.url) as session:

            async def plan(function: str, first: int, due: float) -> None:
                due_ms = due * 1e3
                await plan_jobs(session, function, first=first, count=count, due_ms=due_ms)

            async def wait_done(first: int) -> float:
                # Reading how all of them ended costs more, and the last begins last.
                has_last = False
                while True:
                    await asyncio.sleep(_POLL_SECONDS)
                    has_last = has_last or await has_mark(session, first + count - 1)
                    ends = await read_ends(session, count) if has_last else None
                    if ends is not None and ends.failed:
                        raise RuntimeError(f"{ends.failed:.0f} jobs failed")
                    if ends is not None and ends.succeeded == count:
                        return ends.last / 1e3

            yield _Peer(name=name, process_id=deployed.process_id, plan=plan, wait_done=wait_done)


@asynccontextmanager
async def _huey(count: int) -> AsyncIterator[_Peer]:
    with TemporaryDirectory(prefix="fenchel-bench-") as name:
        folder = Path(name)
        with closing(open_marks(folder)) as marks:
            _, mark = open_queue(folder)

            async def plan(_: str, first: int, due: float) -> None:
                eta = datetime.fromtimestamp(due)
                for number in range(first, first + count):
                    mark.schedule((number,), eta=eta)

            async def wait_done(first: int) -> float:
                query = "SELECT count(*), max(time) FROM marks WHERE number >= ?"
                while True:
                    await asyncio.sleep(_POLL_SECONDS)
                    done_count, last = marks.execute(query, (first,)).fetchone()
                    if done_count == count:
                        return float(last)

            async with _consumer(folder) as process:
                yield _Peer(
                    name=REFERENCE_PEER, process_id=process.pid, plan=plan, wait_done=wait_done
                )


@asynccontextmanager
async def _consumer(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "consumer.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.peers.huey_jobs", folder),
            cwd=ROOT,
            env=dict(os.environ),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()
