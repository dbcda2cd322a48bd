"""What a load is and what it gave: the messages between a question and the load generator.

The generator runs in a process of its own (`load_process`), so that its work is never
charged to the benchmark's own event loop.
"""

from __future__ import annotations

import asyncio
import sys
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

ROOT = Path(__file__).parent.parent
CHANNEL_COUNT = 1000
DOCUMENT_COUNT = 100_000
LIST_LENGTH = 20
CONNECTION_COUNT_MAX = 64


class Check(Enum):
    """What a right answer is."""

    LIST = "list"  # 20 documents of the channel asked for, newest first
    SEND = "send"  # the id of the new document


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of request that a question asks about.

    `args` is JSON text with the places %(channel)d, %(sequence)d and %(member)s: a channel spread
    over all CHANNEL_COUNT, a number that no other request of the run has, the connection's own row.
    """

    endpoint: str  # "query" or "mutation"
    function: str  # "list" or "send"
    args: str
    check: Check


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that each of `connections` clients sends one after another."""

    request: Request
    connections: int
    seconds: float
    warm_up_seconds: float
    first_sequence: int


class HttpLoad(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A load for one HTTP server, as the generator's process reads it."""

    port: int
    process_id: int  # of the server, to look at what it uses
    module: str
    members: list[str]
    load: Load


class GetLoad(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Plain GETs of one HTTP server, of each path in turn; `answers` are the bodies, in the same
    order, that are right. The rest as in `Load` and `HttpLoad`."""

    port: int
    process_id: int
    paths: list[str]
    answers: list[str]
    connections: int
    seconds: float
    warm_up_seconds: float
    first_sequence: int = 0


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of a load gave. Latencies are from the request's first byte to its last.

    `server_cpu_us`: of the server's main process, per request; None if there is no server.
    """

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    count: int
    generator_cpu: float  # share of one core; near 1 means that the generator is the bottleneck
    server_cpu_us: float | None = None


class SocketLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The same for WebSockets of the sync protocol: each request is a query that is added."""

    port: int
    process_id: int
    module: str
    socket_path: str
    load: Load


class FanoutLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Subscribers on WebSockets, and sends over HTTP that each must see, one after another."""

    port: int
    process_id: int  # of the server, to look at what it uses
    module: str
    member: str
    socket_path: str
    hello: list[str]  # messages that a subscriber sends first
    subscribers: int
    is_distinct: bool  # each subscriber's query has its own arguments
    warm_up_sends: int  # before the first measured one: caches and JIT compilers settle
    sends: int
    first_sequence: int


class FanoutReport(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from the send's first byte until subscribers had the new result.

    `connect_ms`: from the first connection until all have their first result. `server_cpu_us`: of
    the server's main process, per subscriber and send. `memory_kib`: by which that process has
    grown, per subscriber; what earlier loads have left behind is used again, so only the first load
    of a server tells. `sent_bytes`: of messages, per subscriber and send.
    """

    connect_ms: float
    each_p50_ms: float
    each_p99_ms: float
    all_p50_ms: float
    all_p99_ms: float
    response_p50_ms: float
    server_cpu_us: float
    memory_kib: float
    sent_bytes: float


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a function call in the Convex HTTP API (client-protocol.md 2.3)."""

    path: str
    args: list[dict[str, Any]]
    format: str = "convex_encoded_json"


Report = TypeVar("Report", LoadReport, FanoutReport)


async def run_http_load(load: HttpLoad | GetLoad) -> LoadReport:
    """Runs the load in its own process. Raises RuntimeError on any wrong or missing answer."""
    timing = load if isinstance(load, GetLoad) else load.load
    deadline = timing.warm_up_seconds + timing.seconds + 30
    return await _run_process("benchmarks.load_process", load, LoadReport, deadline)


async def run_socket_load(load: SocketLoad) -> LoadReport:
    """As `run_http_load`, over WebSockets."""
    deadline = load.load.warm_up_seconds + load.load.seconds + 30
    return await _run_process("benchmarks.socket_load_process", load, LoadReport, deadline)


async def run_fanout_load(load: FanoutLoad) -> FanoutReport:
    """Runs the subscribers in their own process. Raises RuntimeError on a missing update."""
    return await _run_process("benchmarks.fanout_process", load, FanoutReport, 300)


async def _run_process(
    module: str, load: msgspec.Struct, report_type: type[Report], deadline_seconds: float
) -> Report:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await asyncio.wait_for(
            process.communicate(msgspec.json.encode(load)), deadline_seconds
        )
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{module} failed: see its message above")
    return msgspec.json.decode(output, type=report_type)


def percentile(ordered: list[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of an ascending, non-empty list reaches."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
