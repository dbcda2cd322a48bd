"""A gibibyte up and down, and through actions: neither the server nor its workers hold it in memory
(execution 2.9, 2.13).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from convex import ConvexClient

from tests.end_to_end.fenchel_server import FenchelServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.fenchel_server import ConvexApp
    from tests.s3_server import S3Server

PIECE = random.Random(1).randbytes(1 << 20)
PIECES = 1_024
SIZE = PIECES * len(PIECE)
# What sockets, pieces on their way and Python's own growth take, whatever the size of the file.
GROWTH_BYTES_MAX = 128 << 20
# A worker after a few actions, whatever they did.
WORKER_BYTES_MAX = 512 << 20
SECONDS_MAX = 600


@pytest.fixture(params=["local", "s3"])
def file_server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FenchelServer]:
    options: tuple[str, ...] = ("--set", f"server.http_action_response_bytes_max={SIZE}")
    if request.param == "s3":
        store: S3Server = request.getfixturevalue("s3_server")
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        options += ("--file-storage", store.address("large"))
    server = FenchelServer(
        data_folder=tmp_path / "data", port=free_port(), site_port=free_port(), options=options
    )
    server.start()
    yield server
    server.stop()


def pieces() -> Iterator[bytes]:
    for number in range(PIECES):
        yield number.to_bytes(4, "big") + PIECE[4:]


def peak_bytes(server: FenchelServer) -> int:
    """The most memory that the process has had so far."""
    assert server.process is not None
    return peak_of(Path(f"/proc/{server.process.pid}"))


def peak_of(process: Path) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def worker_peak_bytes(server: FenchelServer) -> int:
    """The most that one of the processes which run user code has had so far."""
    assert server.process is not None
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(process.name))
    found = list(children[server.process.pid])
    for number in found:
        found += children.get(number, [])
    return max(peak_of(Path(f"/proc/{number}")) for number in found)


def upload(url: str) -> tuple[str, str]:
    """Storage id and hexadecimal digest."""
    parts = urlsplit(url)
    digest = hashlib.sha256()
    with closing(http.client.HTTPConnection(parts.netloc, timeout=SECONDS_MAX)) as connection:
        connection.putrequest("POST", f"{parts.path}?{parts.query}")
        connection.putheader("Content-Length", str(SIZE))
        connection.endheaders()
        for piece in pieces():
            digest.update(piece)
            connection.send(piece)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return json.load(response)["storageId"], digest.hexdigest()


def download(url: str) -> str:
    parts = urlsplit(url)
    digest = hashlib.sha256()
    with closing(http.client.HTTPConnection(parts.netloc, timeout=SECONDS_MAX)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        while piece := response.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS_MAX)
def test_a_gibibyte_goes_through_flat_memory(app: ConvexApp, file_server: FenchelServer) -> None:
    app.moved_to(file_server).deploy()
    client = ConvexClient(file_server.url)
    client.mutation("files:uploadUrl", {})
    before_bytes = peak_bytes(file_server)
    storage_id, digest = upload(client.mutation("files:uploadUrl", {}))
    assert peak_bytes(file_server) - before_bytes < GROWTH_BYTES_MAX
    assert client.query("files:describe", {"id": storage_id})["size"] == SIZE
    assert download(client.query("files:url", {"id": storage_id})) == digest
    assert download(f"{file_server.url}/http/file?id={storage_id}") == digest
    asked: dict[str, Any] = {"id": storage_id, "start": 0.0, "end": float(SIZE)}
    copy = client.action("files:copyByAction", asked)["copy"]
    assert client.query("files:describe", {"id": copy})["metadata"]["sha256"] == digest
    assert client.action("files:countByAction", {"id": storage_id}) == SIZE
    assert peak_bytes(file_server) - before_bytes < GROWTH_BYTES_MAX
    assert worker_peak_bytes(file_server) < WORKER_BYTES_MAX
