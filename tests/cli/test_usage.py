"""`fenchel usage` against a server that answers, refuses, or is not there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from fenchel.cli.main import main
from fenchel.cli.usage import fetch_usage, render_usage
from fenchel.model import Usage
from tests.end_to_end.fenchel_server import free_port


def row(function: str, component: str = "", **fields: Any) -> dict[str, Any]:
    usage = msgspec.to_builtins(Usage(**fields))
    return {"component": component, "function": function, "kind": "Query", "usage": usage}


def table(name: str, component: str = "", **fields: int) -> dict[str, Any]:
    verbs = ("read", "written", "stored")
    counts = {f"{verb}{what}": 0 for verb in verbs for what in ("Documents", "Bytes")}
    return {"component": component, "table": name, **counts, **fields}


REPORT = {
    "fromDay": "2026-11-20",
    "throughDay": "2026-11-21",
    "rows": [
        row("a:rare", calls=1),
        row("b:often", "counter", calls=12_345, user_seconds=2.5, read_bytes=3 << 20),
    ],
    "tables": [
        table("quiet", storedDocuments=3),
        table("busy", "counter", readDocuments=1_234, readBytes=1 << 20),
    ],
    "files": [{"component": "", "files": 2, "bytes": 5 << 20}],
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_admin = self.headers["Authorization"] == "Convex key"
        self.server.paths.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200 if is_admin else 403)
        self.end_headers()
        self.wfile.write(json.dumps(REPORT if is_admin else {"code": "BadDeployKey"}).encode())

    def log_message(self, *_args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.paths = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url_of(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/"


def test_functions_with_the_most_calls_come_first() -> None:
    days, heading, often, rare = render_usage(REPORT).splitlines()[:4]
    assert days == "2026-11-20 to 2026-11-21 (UTC)"
    assert heading.split()[:4] == ["function", "kind", "calls", "cached"]
    assert often.split()[:6] == ["counter/b:often", "Query", "12,345", "0", "0", "2.5"]
    assert rare.split()[:3] == ["a:rare", "Query", "1"]
    assert len({len(line) for line in (heading, often, rare)}) == 1


def test_tables_and_files_follow() -> None:
    _, heading, busy, quiet, _, files, stored = render_usage(REPORT).splitlines()[4:]
    assert heading.split()[:3] == ["table", "docs", "read"]
    assert busy.split() == ["counter/busy", "1,234", "1.0", "0", "0.0", "0", "0.0"]
    assert quiet.split() == ["quiet", "0", "0.0", "0", "0.0", "3", "0.0"]
    assert files.split() == ["files", "of", "files", "now", "MiB"]
    assert stored.split() == ["the", "app", "2", "5.0"]


def test_a_deployment_without_tables_and_files_shows_functions_only() -> None:
    assert len(render_usage(REPORT | {"tables": [], "files": []}).splitlines()) == 4


def test_days_are_passed_on_and_json_is_what_the_server_said(server: HTTPServer) -> None:
    options = ["--url", url_of(server), "--admin-key", "key", "--from", "2026-11-20", "--json"]
    done = CliRunner().invoke(main, ["usage", *options])
    assert json.loads(done.output) == REPORT
    assert server.paths == ["/api/usage?from=2026-11-20"]  # type: ignore[attr-defined]


def test_a_refusal_is_shown(server: HTTPServer) -> None:
    with pytest.raises(click.ClickException, match="BadDeployKey"):
        fetch_usage(url_of(server), "wrong", None, None)


def test_a_server_that_is_not_there_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(click.ClickException, match=url):
        fetch_usage(url, "key", None, None)


def test_an_address_that_is_none_is_refused() -> None:
    done = CliRunner().invoke(main, ["usage", "--url", "nonsense", "--admin-key", "key"])
    assert done.exit_code == 2
    assert "Invalid value for '--url': 'nonsense' is not like https://host" in done.output
