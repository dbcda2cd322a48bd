"""The wheel works where neither Node nor npm nor a compiler is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.fenchel_server import HERE as END_TO_END
from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer, free_port

ROOT = Path(__file__).resolve().parents[2]
BUILD_SECONDS_MAX = 300


def run(*command: str | Path, **environment: str) -> str:
    """Runs a command and gives what it printed; fails the test with all of it otherwise."""
    done = subprocess.run(
        command,
        env=dict(os.environ, **environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what is committed, so that nothing built earlier can help."""
    source = tmp_path_factory.mktemp("source") / "fenchel"
    listed = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    built = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    run(*pip, "--wheel-dir", built, source)
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment that holds the wheel and what it says that it needs, in
    the locked versions.
    """
    environment = tmp_path_factory.mktemp("environment")
    locked = re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    constraints = environment / "constraints.txt"
    constraints.write_text("\n".join(locked))
    run(sys.executable, "-m", "venv", environment)
    pip = (environment / "bin/python", "-m", "pip", "install", "--quiet")
    options = ("--disable-pip-version-check", "--only-binary", ":all:", "--constraint", constraints)
    run(*pip, *options, wheel)
    return environment / "bin"


@pytest.mark.timeout(2 * BUILD_SECONDS_MAX)
def test_the_wheel_names_its_platform_and_holds_the_workers(wheel: Path) -> None:
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    assert not wheel.name.endswith("-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("fenchel/_bundled/") for name in names)
    assert any(name.endswith(".node") for name in names)
    assert not any("node_modules" in name for name in names)


@pytest.mark.timeout(2 * BUILD_SECONDS_MAX)
def test_a_new_environment_serves_a_deployed_app_without_node(
    installed: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    # The CLI brings a Node for itself; the server gets a PATH with nothing in it.
    server = FenchelServer(
        data_folder=tmp_path / "data",
        port=free_port(),
        site_port=free_port(),
        command=("/usr/bin/env", f"PATH={empty}", installed / "fenchel"),
    )
    assert "0." in run(installed / "fenchel", "version", PATH=str(empty))
    server.start()
    try:
        app = ConvexApp.copy(END_TO_END / "app", tmp_path / "app", server=server)
        app.deploy()
        assert app.convex("run", "probe:hidden").stdout.strip() == '"only for insiders"'
    finally:
        server.stop()
