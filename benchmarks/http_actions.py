"""How fast are HTTP actions: requests with a small answer, and bodies streamed in and out?

The peer is plain uvicorn with the same routes in Python: what the HTTP server alone costs, without
a fresh JavaScript context for each request.
"""

# Estimate for one request: HTTP 50 µs, routing and identity 100 µs of Python, a trip to the worker
# for the call, one for the answer and one for its body 150 µs, a fresh context with the packages of
# fetch and streams 4 ms: some 400 requests/s on two cores, 1 % of uvicorn's. A streamed piece of 64
# KiB crosses the socket to the worker in two trips, and is copied five times: 300 µs, 200 MiB/s.

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.deployed_app import deployed_app
from benchmarks.engine.plan import EnginePlan
from benchmarks.load import GetLoad, LoadReport, run_http_load
from benchmarks.peers.plain_asgi import JSON_ANSWER, PIECE, STREAM_BYTES
from benchmarks.peers.python_server import run_python_server
from benchmarks.process_usage import tree_cpu_seconds
from benchmarks.rounds import Measurement
from benchmarks.transfer_client import TransferClient

REFERENCE_PEER = "uvicorn"
_CONNECTIONS = (1, 16, 64)
_SECONDS = 1.5
_WARM_UP_SECONDS = 0.4
_ROUNDS_MAX = 3
_MEBIBYTE = 1 << 20

_HTTP = """\
import { httpActionGeneric as httpAction, httpRouter } from "convex/server";

const http = httpRouter();
http.route({
  path: "/json",
  method: "GET",
  handler: httpAction(async () => Response.json({ ok: true, text: "a small answer" })),
});
http.route({
  path: "/count",
  method: "POST",
  handler: httpAction(async (_ctx, request) => {
    const reader = request.body!.getReader();
    let bytes = 0;
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      bytes += read.value.length;
    }
    return Response.json({ bytes });
  }),
});
http.route({
  path: "/stream",
  method: "GET",
  handler: httpAction(async () => {
    let left = %(pieces)d;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(%(piece)d));
        else controller.close();
      },
    });
    return new Response(body, { headers: { "Content-Length": "%(bytes)d" } });
  }),
});
export default http;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    name: str
    process_id: int
    port: int


async def measure(plan: EnginePlan) -> list[Measurement]:
    """All at each number of connections, then streams on one; medians over interleaved rounds."""
    rounds = min(plan.rounds, _ROUNDS_MAX)
    async with _peers() as peers:
        measurements: list[Measurement] = []
        for connections in _CONNECTIONS:
            measurements += await _measure_requests(peers, connections, rounds)
        for name, transfer in (("request_body", _send_body), ("response_body", _receive_body)):
            measurements += await _measure_stream(peers, name, transfer, rounds)
        return measurements


@asynccontextmanager
async def _peers() -> AsyncIterator[list[_Peer]]:
    with deployed_app() as deployed:
        pieces = STREAM_BYTES // len(PIECE)
        http = _HTTP % {"pieces": pieces, "piece": len(PIECE), "bytes": STREAM_BYTES}
        deployed.write({"convex/http.ts": http})
        await asyncio.to_thread(deployed.run, "deploy", "--typecheck", "disable")
        async with run_python_server("plain_asgi") as uvicorn:
            yield [
                _Peer(
                    name="fenchel",
                    process_id=deployed.process_id,
                    port=deployed.server.site_port,
                ),
                _Peer(name=REFERENCE_PEER, process_id=uvicorn.process_id, port=uvicorn.port),
            ]


async def _measure_requests(
    peers: Sequence[_Peer], connections: int, rounds: int
) -> list[Measurement]:
    reports: dict[str, list[tuple[LoadReport, float]]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            load = GetLoad(
                port=peer.port,
                process_id=peer.process_id,
                paths=["/json"],
                answers=[JSON_ANSWER.decode()],
                connections=connections,
                seconds=_SECONDS,
                warm_up_seconds=_WARM_UP_SECONDS,
            )
            used = tree_cpu_seconds(peer.process_id)
            report = await run_http_load(load)
            used = tree_cpu_seconds(peer.process_id) - used
            reports[peer.name].append((report, used))
    return [
        figure
        for peer, of_peer in reports.items()
        for figure in _figures(f"http_actions.c{connections}", peer, of_peer)
    ]


def _figures(
    name: str, peer: str, reports: Sequence[tuple[LoadReport, float]]
) -> list[Measurement]:
    # The time of the processor is that of all requests, those to warm up included.
    share = _SECONDS / (_SECONDS + _WARM_UP_SECONDS)
    figures = {
        ("requests_per_second", "1/s"): median(r.requests_per_second for r, _ in reports),
        ("p50", "ms"): median(r.p50_ms for r, _ in reports),
        ("p99", "ms"): median(r.p99_ms for r, _ in reports),
        ("server_cpu", "us"): median(used * share / r.count * 1e6 for r, used in reports),
    }
    return [
        Measurement(name=f"{name}.{figure}", value=value, unit=unit, peer=peer)
        for (figure, unit), value in figures.items()
    ]


async def _measure_stream(
    peers: Sequence[_Peer], name: str, transfer: Callable[[TransferClient], None], rounds: int
) -> list[Measurement]:
    found: dict[str, list[tuple[float, float]]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            found[peer.name].append(await asyncio.to_thread(_stream, peer, transfer))
    return [
        Measurement(
            name=f"http_actions.{name}.{figure}", value=median(values), unit=unit, peer=peer.name
        )
        for peer in peers
        for (figure, unit), values in zip(
            (("rate", "MiB/s"), ("server_cpu", "ms/MiB")),
            zip(*found[peer.name], strict=True),
            strict=True,
        )
    ]


def _stream(peer: _Peer, transfer: Callable[[TransferClient], None]) -> tuple[float, float]:
    """MiB/s, and milliseconds of processor time per MiB, of bodies one after another."""
    with TransferClient(peer.port) as client:
        transfer(client)
        used, began, count = tree_cpu_seconds(peer.process_id), time.perf_counter(), 0
        while time.perf_counter() - began < _SECONDS:
            transfer(client)
            count += 1
        seconds = time.perf_counter() - began
        used = tree_cpu_seconds(peer.process_id) - used
    mebibytes = count * STREAM_BYTES / _MEBIBYTE
    return mebibytes / seconds, used * 1e3 / mebibytes


def _send_body(client: TransferClient) -> None:
    answer = client.upload("POST", "/count", PIECE, STREAM_BYTES // len(PIECE))
    if answer != b'{"bytes":%d}' % STREAM_BYTES:
        raise RuntimeError(f"not all that was sent: {answer!r}")


def _receive_body(client: TransferClient) -> None:
    if client.download("/stream") != STREAM_BYTES:
        raise RuntimeError("not all that was to be sent")
