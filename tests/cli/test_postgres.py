"""`fenchel serve --database-url`: a deployment in Postgres, taken over by the next server."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_main import (
    FENCHEL,
    SECONDS_MAX,
    SECRET,
    assert_one_clear_line,
    command,
    fenchel,
)
from tests.end_to_end.fenchel_server import free_port
from tests.postgres_server import PostgresServer

INSTANCE = ("--instance-name", "mine", "--instance-secret", SECRET)


@pytest.fixture
async def url(postgres_server: PostgresServer) -> str:
    return await postgres_server.empty_database()


@contextmanager
def serving(url: str, data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on the database, and its address."""
    port = free_port()
    ports = ("--port", str(port), "--site-port", "0", "--data-dir", data_dir)
    with subprocess.Popen(
        [FENCHEL, "serve", *ports, *INSTANCE, "--database-url", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "Fenchel is ready.\n"
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def set_variable(address: str, name: str, value: str) -> None:
    """Commit something."""
    admin_key = command("keys", *INSTANCE).stdout.strip()
    request = urllib.request.Request(
        f"{address}/api/update_environment_variables",
        data=json.dumps({"changes": [{"name": name, "value": value}]}).encode(),
        headers={"Authorization": f"Convex {admin_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS_MAX):
        pass


def test_the_next_server_takes_over_and_the_last_one_says_so(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path / "first") as (first, first_address):
        set_variable(first_address, "A", "1")
        with serving(url, tmp_path / "second") as (second, second_address):
            # Refused; or the server has noticed by itself meanwhile, and is gone.
            with pytest.raises(OSError):
                set_variable(first_address, "B", "2")
            assert first.wait(SECONDS_MAX) == 1
            assert first.stderr is not None
            lines = first.stderr.read().strip().splitlines()
            assert "taken over" in lines[-1]
            assert "Traceback" not in "".join(lines), "\n".join(lines)
            set_variable(second_address, "C", "3")
            second.terminate()
            assert second.wait(SECONDS_MAX) == 0


def test_an_unreachable_database_is_one_clear_line(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    ports = ("--port", "0", "--site-port", "0", "--data-dir", tmp_path)
    done = fenchel("serve", *ports, FENCHEL_DATABASE_URL=f"postgres://ada:secret@{address}/app")
    assert_one_clear_line(done, address, "'app'")
    assert "secret" not in done.stderr
