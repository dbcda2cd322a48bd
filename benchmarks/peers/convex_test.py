"""convex-test in a Node process, driven by its own loop: in memory, no HTTP, no fresh state.

It has no index structures: a query scans its whole table, so `list` from 100,000 documents is not
what it was made for. Its figures bound what the same functions cost without a backend around them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import (
    CHANNEL_COUNT,
    CONNECTION_COUNT_MAX,
    DOCUMENT_COUNT,
    FanoutReport,
    Load,
    LoadReport,
    percentile,
)
from benchmarks.load_process import CHANNEL_STRIDE
from benchmarks.peers.http_peer import FILL_BATCH, FILL_BODY
from benchmarks.peers.node_packages import BENCHMARKS, node_environment, node_path

# Distinct requests of one load; its loop goes round them.
REQUEST_COUNT = 10_000
CALLER_COUNT_MAX = 4
ANSWER_DEADLINE_SECONDS = 120
ANSWER_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvexTestPeer:
    """The process and its filled tables."""

    name: str
    process: asyncio.subprocess.Process
    members: Sequence[str]

    async def run(self, load: Load) -> LoadReport:
        """More callers than CALLER_COUNT_MAX are not tried: they only queue for one thread."""
        if load.warm_up_seconds > 0:
            await self._run(load, load.warm_up_seconds)
        return await self._run(load, load.seconds)

    async def run_fanout(
        self,
        *,
        subscribers: int,
        is_distinct: bool,
        warm_up_sends: int,
        sends: int,
        first_sequence: int,
    ) -> FanoutReport | None:
        return None

    async def _run(self, load: Load, seconds: float) -> LoadReport:
        answer = await command(
            self.process,
            command="load",
            requests=[self._request(load, number) for number in range(REQUEST_COUNT)],
            check=load.request.check.value,
            concurrency=min(load.connections, CALLER_COUNT_MAX),
            seconds=seconds,
        )
        latencies = sorted(us / 1000 for us in answer["latencies_us"])
        return LoadReport(
            requests_per_second=len(latencies) / answer["seconds"],
            p50_ms=percentile(latencies, 0.50),
            p99_ms=percentile(latencies, 0.99),
            count=len(latencies),
            generator_cpu=0.0,
        )

    def _request(self, load: Load, number: int) -> dict[str, Any]:
        sequence = load.first_sequence + number
        args = load.request.args % {
            "channel": sequence * CHANNEL_STRIDE % CHANNEL_COUNT,
            "sequence": sequence,
            "member": self.members[number % load.connections],
        }
        return {"path": f"messages:{load.request.function}", "args": json.loads(args)}


@asynccontextmanager
async def open_convex_test(folder: Path) -> AsyncIterator[list[ConvexTestPeer]]:
    """The filled process; its standard error goes to a file of `folder`."""
    with (folder / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            node_path(),
            "peers/convex_test.mjs",
            cwd=BENCHMARKS,
            env=node_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=ANSWER_BYTES_MAX,
        )
    try:
        members = await _fill(process)
        yield [ConvexTestPeer(name="convex-test", process=process, members=members)]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _fill(process: asyncio.subprocess.Process) -> list[str]:
    for start in range(0, DOCUMENT_COUNT, FILL_BATCH):
        args = {
            "from": start,
            "to": start + FILL_BATCH,
            "channels": CHANNEL_COUNT,
            "body": FILL_BODY,
        }
        await command(process, command="call", path="seed:messages", args=args)
    answer = await command(
        process, command="call", path="seed:members", args={"count": CONNECTION_COUNT_MAX}
    )
    ids: list[str] = answer["value"]
    return ids


async def command(process: asyncio.subprocess.Process, **fields: Any) -> dict[str, Any]:
    """Sends one command line, gives its result line. Raises RuntimeError if the process ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(fields).encode() + b"\n")
    await process.stdin.drain()
    line = await asyncio.wait_for(process.stdout.readline(), ANSWER_DEADLINE_SECONDS)
    if not line:
        raise RuntimeError("convex-test ended: see its server.log")
    answer: dict[str, Any] = json.loads(line)
    return answer
