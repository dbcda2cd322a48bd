"""The `fenchel` command as a person meets it: what it prints, how it stops; how it fails, see
`tests/cli`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.end_to_end.fenchel_server import FENCHEL, clean_environment

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


def test_serve_prints_how_to_connect_and_stops_in_order(start_server: StartServer) -> None:
    server = start_server()
    assert server.url in server.log
    assert f"CONVEX_SELF_HOSTED_URL='{server.url}'" in server.log
    assert "CONVEX_SELF_HOSTED_ADMIN_KEY='" in server.log
    assert "User code runs with: empty environment" in server.log
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_keys_of_one_data_folder_open_the_same_deployment(tmp_path: Path) -> None:
    first, second = (fenchel("keys", "--data-dir", tmp_path / "data").stdout for _ in range(2))
    assert first.split("|")[0] == second.split("|")[0]
    assert "|" in first
