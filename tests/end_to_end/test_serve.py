"""The `fenchel` command as a person meets it: what it prints, how it fails, how it stops."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

from tests.end_to_end.fenchel_server import FENCHEL, clean_environment, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import StartServer


def fenchel(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FENCHEL, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
    )


def serve(data_folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    """A server that is expected to give up at once."""
    ports = ("--port", str(port), "--site-port", str(free_port()))
    return fenchel("serve", "--data-dir", data_folder, *ports)


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_serve_prints_how_to_connect_and_stops_in_order(start_server: StartServer) -> None:
    server = start_server()
    assert server.url in server.log
    assert f"CONVEX_SELF_HOSTED_URL='{server.url}'" in server.log
    assert "CONVEX_SELF_HOSTED_ADMIN_KEY='" in server.log
    assert "User code runs with: empty environment" in server.log
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_clear_line(serve(tmp_path / "data", port), str(port))


def test_a_locked_data_folder_is_one_clear_line(start_server: StartServer) -> None:
    server = start_server()
    assert_one_clear_line(serve(server.data_folder, free_port()), str(server.data_folder))
    server.stop()


def test_a_data_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    assert_one_clear_line(serve(in_the_way / "data", free_port()), str(in_the_way))


def test_version_prints_the_version() -> None:
    assert fenchel("version").stdout.strip().startswith("0.")


def test_keys_of_one_data_folder_open_the_same_deployment(tmp_path: Path) -> None:
    first, second = (fenchel("keys", "--data-dir", tmp_path / "data").stdout for _ in range(2))
    assert first.split("|")[0] == second.split("|")[0]
    assert "|" in first
