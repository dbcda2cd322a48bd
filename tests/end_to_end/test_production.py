"""`fenchel serve --production`: clients learn a request id, the log tells what it stands for
(execution 5.3).
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.fenchel_server import HERE, ConvexApp, FenchelServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import StartServer

HEAD = r"\[Request ID: ([0-9a-f]{16})\] Server Error"


def fetch(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as got:
            return got.status, json.load(got)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def full_error(server: FenchelServer, request_id: str) -> str:
    """What the log that `convex logs` reads has about a request."""
    _, page = fetch(
        f"{server.url}/api/stream_function_logs?cursor=0",
        Authorization=f"Convex {server.admin_key()}",
    )
    (error,) = [
        entry["error"]
        for entry in page["entries"]
        if entry["requestId"] == request_id and entry.get("error")
    ]
    return str(error)


@pytest.mark.timeout(300)
def test_an_error_is_hidden_from_clients_and_found_by_its_request_id(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server()
    ConvexApp.copy(HERE / "app", tmp_path / "app", server=server).deploy()
    server.stop()
    server.options = ("--production",)
    server.start()

    call = {"path": "notes:addThenFail", "args": {"topic": "hidden"}, "format": "json"}
    status, answer = fetch(f"{server.url}/api/mutation", call)
    assert status == 200
    assert not answer.get("logLines")
    found = re.fullmatch(HEAD, answer["errorMessage"])
    assert found is not None, answer
    error = full_error(server, found[1])
    assert error.startswith("Uncaught Error: changed my mind\n    at ")
    assert "../convex/notes.ts:45" in error

    status, answer = fetch(f"http://127.0.0.1:{server.site_port}/fails")
    assert (status, list(answer)) == (500, ["code"])
    found = re.fullmatch(HEAD, answer["code"])
    assert found is not None, answer
    assert "no luck" in full_error(server, found[1])

    status, answer = fetch(f"http://127.0.0.1:{server.site_port}/refuses")
    assert answer["data"] == {"reason": "full"}
    assert re.fullmatch(HEAD, answer["code"])
