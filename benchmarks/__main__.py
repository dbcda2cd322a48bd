"""`python -m benchmarks [QUESTION ...] [--peer NAME ...] [--quick]`: measures, prints, records.

Questions to servers are put to all peers, questions to the engine to Fenchel and the raw driver,
questions to the official CLI to Fenchel alone; jobs, HTTP actions and files have their own peers.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks import (
    cached_list,
    cached_live,
    endless_loops,
    file_transfer,
    first_call,
    generator_ceiling,
    http_actions,
    list_query,
    live_fanout,
    pending_jobs,
    push,
    scheduled_jobs,
    send_mutation,
    snapshot_rate,
)
from benchmarks.engine import ENGINE_QUESTIONS, RAW, EnginePlan
from benchmarks.engine import FULL as ENGINE_FULL
from benchmarks.engine import LARGE as ENGINE_LARGE
from benchmarks.engine import QUICK as ENGINE_QUICK
from benchmarks.peers import OPENERS, REFERENCE_PEER, bare_server, open_peers
from benchmarks.results_file import append_lines, describe_commit, format_table, result_lines
from benchmarks.rounds import FULL, QUICK, Bench, Measurement, Plan

# Load average per core before a run, above which its figures say little.
BUSY_SHARE = 0.5

# In this order, because sends make the tables grow by different amounts on different peers.
QUESTIONS: dict[str, Callable[[Bench], Awaitable[list[Measurement]]]] = {
    "generator_ceiling": generator_ceiling.measure,
    "list_query": list_query.measure,
    "cached_list": cached_list.measure,
    "cached_live": cached_live.measure,
    "live_fanout": live_fanout.measure,
    "endless_loops": endless_loops.measure,
    "send_mutation": send_mutation.measure,
}
# To one process, to one server by the official CLI, or to servers with peers that only they have:
# how much they do is in an EnginePlan.
OWN_QUESTIONS: dict[str, Callable[[EnginePlan], Awaitable[list[Measurement]]]] = {
    **ENGINE_QUESTIONS,
    "push": push.measure,
    "first_call": first_call.measure,
    "snapshot_rate": snapshot_rate.measure,
    "scheduled_jobs": scheduled_jobs.measure,
    "pending_jobs": pending_jobs.measure,
    "http_actions": http_actions.measure,
    "file_transfer": file_transfer.measure,
}
OWN_REFERENCES = {RAW} | {
    question.REFERENCE_PEER
    for question in (scheduled_jobs, pending_jobs, http_actions, file_transfer)
}


def main() -> None:
    options = _parse_arguments()
    # As Ctrl-C: servers that were started must end with the run.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = QUICK if options.quick else FULL
    chosen = options.questions or [*QUESTIONS, *OWN_QUESTIONS]
    _warn_if_busy()
    if names := [name for name in QUESTIONS if name in chosen]:
        references = {REFERENCE_PEER, bare_server.NAME}
        with _reported(references, is_recorded=not options.quick) as measurements:
            peers = options.peer or list(OPENERS)
            asyncio.run(_measure(names, peers, plan, measurements))
    if names := [name for name in OWN_QUESTIONS if name in chosen]:
        # As the server has it.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        with _reported(OWN_REFERENCES, is_recorded=not options.quick) as measurements:
            uvloop.run(_measure_own(names, _engine_plan(options), measurements))


@contextmanager
def _reported(references: Collection[str], *, is_recorded: bool) -> Iterator[list[Measurement]]:
    """What was measured is printed and recorded, also when a later question fails."""
    commit = describe_commit()  # Now: the tree may change while the run lasts.
    measurements: list[Measurement] = []
    try:
        yield measurements
    finally:
        if measurements:
            _report(measurements, references, commit, is_recorded=is_recorded)


def _report(
    measurements: Sequence[Measurement],
    references: Collection[str],
    commit: str,
    *,
    is_recorded: bool,
) -> None:
    lines = result_lines(measurements, references=references, commit=commit)
    print(format_table(lines))
    if is_recorded:
        print(f"Recorded in {append_lines(lines)}")
    else:
        print("A quick run is not recorded.")


def _engine_plan(options: argparse.Namespace) -> EnginePlan:
    if options.quick:
        return ENGINE_QUICK
    return ENGINE_LARGE if options.large else ENGINE_FULL


def _warn_if_busy() -> None:
    """Peers that need two processes lose more to other programs than those that need one."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > BUSY_SHARE * cores:
        print(f"The machine is busy (load average {load:.1f} on {cores} cores): do not compare.")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*QUESTIONS, *OWN_QUESTIONS, []]
    parser.add_argument("questions", nargs="*", choices=names, metavar="QUESTION")
    parser.add_argument("--peer", action="append", choices=list(OPENERS))
    parser.add_argument("--quick", action="store_true", help="one short round, not recorded")
    parser.add_argument("--large", action="store_true", help="growth to 5 million documents, too")
    return parser.parse_args()


async def _measure(
    names: Sequence[str], peers: Sequence[str], plan: Plan, measurements: list[Measurement]
) -> None:
    with TemporaryDirectory(prefix="fenchel-bench-") as directory:
        async with open_peers(peers, Path(directory)) as opened:
            bench = Bench(peers=opened, plan=plan)
            for name in names:
                print(f"{name} ...", flush=True)
                measurements += await QUESTIONS[name](bench)


async def _measure_own(
    names: Sequence[str], plan: EnginePlan, measurements: list[Measurement]
) -> None:
    for name in names:
        print(f"{name} ...", flush=True)
        measurements += await OWN_QUESTIONS[name](plan)


if __name__ == "__main__":
    main()
