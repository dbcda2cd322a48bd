"""`python -m benchmarks.profile QUESTION [--peer NAME]`: where the time of one request goes.

Prints the CPU time per request of each process of the server, the Python functions of the backend
by own and by total time (py-spy), and the native symbols of the other processes (Linux perf). Reads
/proc, so it needs Linux; py-spy and perf must be in PATH or beside this Python.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import cached_list, list_query, send_mutation
from benchmarks.load import Load, LoadReport, Request
from benchmarks.peers import FENCHEL, OPENERS, HttpPeer, open_peers
from benchmarks.rounds import SEQUENCES_PER_LOAD

REQUESTS: dict[str, Request] = {
    "list_query": list_query.REQUEST,
    "cached_list": cached_list.REQUEST,
    "send_mutation": send_mutation.REQUEST,
}
SAMPLES_PER_SECOND = 400
WARM_UP_SECONDS = 1.5
ROW_COUNT = 45
# A thread pool's thread that waits for work; py-spy takes it for a busy one.
IDLE_FRAME = "_worker (concurrent/futures/thread.py"
CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("question", choices=list(REQUESTS))
    parser.add_argument("--peer", default=FENCHEL)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    asyncio.run(_profile(parser.parse_args()))


async def _profile(options: argparse.Namespace) -> None:
    system = options.peer if options.peer in OPENERS else FENCHEL
    if system not in OPENERS:
        sys.exit(f"no such peer: {options.peer}")
    with TemporaryDirectory(prefix="fenchel-profile-") as directory:
        async with open_peers([system], Path(directory)) as peers:
            peer = next(peer for peer in peers if peer.name == options.peer)
            if not isinstance(peer, HttpPeer):
                sys.exit(f"{peer.name} is not a server")
            load = Load(
                request=REQUESTS[options.question],
                connections=options.connections,
                seconds=WARM_UP_SECONDS,
                warm_up_seconds=0.0,
                first_sequence=0,
            )
            await peer.run(load)
            await _print_profile(peer, load, options.seconds, Path(directory))


async def _print_profile(peer: HttpPeer, load: Load, seconds: float, folder: Path) -> None:
    others = [pid for pid in process_tree(peer.process_id) if pid != peer.process_id]
    if peer.name.startswith(FENCHEL):
        native, python_pid = others, peer.process_id
    else:
        native, python_pid = [peer.process_id, *others], None
    before = cpu_seconds(peer.process_id)
    async with asyncio.TaskGroup() as group:
        report_task = group.create_task(
            peer.run(_measured(load, seconds + 1.0, load.first_sequence + SEQUENCES_PER_LOAD))
        )
        python_task = group.create_task(_record_python(python_pid, seconds, folder))
        native_task = group.create_task(_record_native(native, seconds, folder))
    report = report_task.result()
    _print_processes(before, cpu_seconds(peer.process_id), report)
    if stacks := python_task.result():
        _print_stacks(stacks, report, seconds)
    print(native_task.result())


def _measured(load: Load, seconds: float, first_sequence: int) -> Load:
    return Load(
        request=load.request,
        connections=load.connections,
        seconds=seconds,
        warm_up_seconds=0.0,
        first_sequence=first_sequence,
    )


async def _record_python(pid: int | None, seconds: float, folder: Path) -> dict[str, int]:
    """Samples per stack (frames joined by ";", outermost first) of a Python process."""
    if pid is None:
        return {}
    path = folder / "python.txt"
    sampling = ["--rate", str(SAMPLES_PER_SECOND), "--duration", f"{seconds:.0f}"]
    output = ["--format", "raw", "--output", str(path), "--nonblocking"]
    await _run(_tool("py-spy"), "record", "--pid", str(pid), *sampling, *output)
    return parse_stacks(path)


def parse_stacks(path: Path) -> dict[str, int]:
    """Reads py-spy's raw format: a stack and its samples per line, idle threads left out."""
    stacks: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if IDLE_FRAME not in stack.rpartition(";")[2]:
            stacks[stack] += int(count)
    return stacks


async def _record_native(pids: Iterable[int], seconds: float, folder: Path) -> str:
    """perf's tables of libraries and symbols of some processes; empty when there are none."""
    targets = ",".join(map(str, pids))
    if not targets:
        return ""
    data = ["-i", str(folder / "perf.data"), "--stdio", "--no-children", "--percent-limit", "0.7"]
    record = ["-F", str(SAMPLES_PER_SECOND - 1), "-o", data[1], "-p", targets]
    await _run(_tool("perf"), "record", *record, "--", "sleep", f"{seconds:.0f}")
    libraries = await _run(_tool("perf"), "report", *data, "--sort", "pid,dso")
    symbols = await _run(_tool("perf"), "report", *data, "--sort", "dso,symbol")
    lines = f"{libraries}\n{symbols}".splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.startswith("#"))


def _tool(name: str) -> str:
    path = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if path is None:
        sys.exit(f"{name} is needed for this profile: install it, or put it into PATH")
    return path


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{output.decode()}")
    return output.decode()


def process_tree(root: int) -> list[int]:
    """The process and all its descendants."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def cpu_seconds(root: int) -> dict[tuple[int, str], float]:
    """CPU time that each process of the tree has used: by pid and command."""
    used = {}
    for pid in process_tree(root):
        head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        fields = rest.split()
        ticks = int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
        used[pid, head.partition("(")[2]] = ticks / CLOCK_TICKS_PER_SECOND
    return used


def _print_processes(
    before: Mapping[tuple[int, str], float],
    after: Mapping[tuple[int, str], float],
    report: LoadReport,
) -> None:
    print(
        f"{report.requests_per_second:,.0f} requests/s, p50 {report.p50_ms:.2f} ms, "
        f"p99 {report.p99_ms:.2f} ms, generator {report.generator_cpu:.2f} cores"
    )
    for (pid, name), used in after.items():
        spent = used - before.get((pid, name), 0.0)
        print(f"{1e6 * spent / report.count:8.0f} µs CPU per request  {name} ({pid})")


def _print_stacks(stacks: Mapping[str, int], report: LoadReport, seconds: float) -> None:
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for stack, count in stacks.items():
        frames = [frame.rpartition(":")[0] + ")" for frame in stack.split(";")]
        own[frames[-1]] += count
        for frame in set(frames):
            total[frame] += count
    us_per_sample = 1e6 / SAMPLES_PER_SECOND / (report.requests_per_second * seconds)
    for title, counts in (("own", own), ("total", total)):
        print(f"\nPython functions, {title} µs per request")
        for frame, count in counts.most_common(ROW_COUNT):
            print(f"{count * us_per_sample:8.1f}  {frame}")


if __name__ == "__main__":
    main()
