"""What surrounds every process that runs user code: surveyed once, applied by
`sandbox_launcher.py` before Node starts (decision 0013).

Knows the machine and the command line, not what the process is for.
"""

from __future__ import annotations

import ctypes
import functools
import marshal
import os
import platform
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from fenchel.errors import FenchelError, bad_request
from fenchel.isolate.seccomp_filter import SUPPORTED_MACHINES, build_filter

_LAUNCHER = Path(__file__).with_name("sandbox_launcher.py")
_PR_GET_SECCOMP = 21
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_CREATE_RULESET_VERSION = 1
_EXECUTE, _READ_FILE, _READ_FOLDER = 1, 4, 8
# The only file that a worker may write, where it says whose turn it is: an id of four bytes.
MARKER_BYTES = 4
_DESCRIPTORS_MAX = 256
# The stack of a thread, of which JavaScript gets a part.
_STACK_BYTES = 8 << 20

# Root reads files of others; everything else that it may do goes. Only where Landlock says which.
_CAPABILITY_READ_ALL_FILES = 1 << 2

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_LOADERS = ("/lib*/ld-linux*.so*", "/lib/ld-musl-*.so*", "/lib/*/ld-linux*.so*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What the system offers. `landlock`: version of the interface, 0 without it."""

    is_linux: bool
    has_seccomp: bool
    landlock: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """`in_force` and `missing` are for people. Where the system is not Linux nothing is in force
    but the empty environment, and commands stay as they are.
    """

    kernel: Kernel
    in_force: tuple[str, ...]
    missing: tuple[str, ...]

    def command(
        self, command: tuple[str, ...], *, folder: Path, data_bytes_max: int
    ) -> tuple[str, ...]:
        """argv that puts itself into the sandbox and becomes `command`, which may read `folder`.

        The process ends with this one; it must be started from a thread that lives as long.
        """
        if not self.kernel.is_linux:
            return command
        plan = {
            "parent": os.getpid(),
            "limits": (
                (resource.RLIMIT_CORE, 0),
                (resource.RLIMIT_FSIZE, MARKER_BYTES),
                (resource.RLIMIT_NOFILE, _DESCRIPTORS_MAX),
                (resource.RLIMIT_DATA, data_bytes_max),
                (resource.RLIMIT_STACK, _stack_bytes()),
            ),
            "capabilities": _CAPABILITY_READ_ALL_FILES if self.kernel.landlock else 0,
            "landlock": self.kernel.landlock,
            "rules": tuple(_file_rules(Path(command[0]), folder)),
            "seccomp": build_filter(platform.machine()) if self.kernel.has_seccomp else b"",
        }
        launcher = (sys.executable, "-I", "-S", str(_LAUNCHER))
        return (*launcher, marshal.dumps(plan).hex(), *command)

    def check_complete(self) -> None:
        """Raises: FenchelError `SandboxIncomplete` if anything is missing."""
        if self.missing:
            raise sandbox_incomplete(self)


def sandbox_incomplete(sandbox: Sandbox) -> FenchelError:
    missing = ", ".join(sandbox.missing)
    return bad_request(
        "SandboxIncomplete",
        f"--require-sandbox: this system cannot isolate user code as asked. Missing: {missing}. "
        "Use Linux 5.13 or newer on x86_64 or aarch64 with seccomp and Landlock enabled, or start "
        "without --require-sandbox.",
    )


@functools.cache
def local_sandbox() -> Sandbox:
    """The sandbox of this machine."""
    return design_sandbox(_survey_kernel())


def design_sandbox(kernel: Kernel) -> Sandbox:
    """The strongest that `kernel` allows."""
    parts = {
        "no_new_privs": kernel.is_linux,
        "resource limits": kernel.is_linux,
        "ends with the server": kernel.is_linux,
        "seccomp": kernel.has_seccomp,
        f"Landlock {kernel.landlock}" if kernel.landlock else "Landlock": kernel.landlock > 0,
    }
    return Sandbox(
        kernel=kernel,
        in_force=("empty environment", *(name for name, is_there in parts.items() if is_there)),
        missing=tuple(name for name, is_there in parts.items() if not is_there),
    )


def _stack_bytes() -> int:
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    return _STACK_BYTES if hard == resource.RLIM_INFINITY else min(_STACK_BYTES, hard)


def _survey_kernel() -> Kernel:
    if sys.platform != "linux":
        return Kernel(is_linux=False, has_seccomp=False, landlock=0)
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(
        ctypes.c_long(_LANDLOCK_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION),
    )
    is_filtering = libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    return Kernel(
        is_linux=True,
        has_seccomp=is_filtering and platform.machine() in SUPPORTED_MACHINES,
        landlock=max(version, 0),
    )


def _file_rules(program: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Node, what it loads, and `folder`. Not a word of /proc, /etc, /home, /tmp."""
    yield str(program), _READ_FILE | _EXECUTE
    yield str(folder), _READ_FILE | _READ_FOLDER
    yield os.devnull, _READ_FILE
    for path in filter(os.path.exists, _LIBRARIES):
        yield path, _READ_FILE
    for path in {os.path.realpath(path) for pattern in _LOADERS for path in glob(pattern)}:
        yield path, _READ_FILE | _EXECUTE
