"""A program of its own: puts itself into the sandbox that its first argument describes, then
becomes the worker.

Runs as `python -I -S` with the standard library only, in a process with one thread: there the
steps between fork and exec are safe, which they are not in the backend. Whatever fails ends it with
a line on stderr, before anything of the worker has run.

`plan`: hexadecimal `marshal` of a dictionary (the same Python wrote it, and `json` would double the
time that this takes) of
  parent: process id that the worker must not outlive
  limits: ((number of the resource, soft and hard limit), ...)
  capabilities: bit mask of those that stay, if they were there
  landlock: version of the interface, 0 for none
  rules: ((path, access mask), ...) of what Landlock leaves open
  seccomp: array of `struct sock_filter`, empty for none
"""

import ctypes
import marshal
import os
import resource
import struct
import sys

_SIGKILL = 9
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_RULE_PATH_BENEATH = 1
# File rights by version of the interface (a bit each); from 4 TCP, from 6 signals and sockets.
_LANDLOCK_FILE_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_LANDLOCK_FILE_BITS_MAX = 16
_FIRST_FOREIGN_DESCRIPTOR = 6

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, step: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{step}: {os.strerror(number)}")
    return result


def _syscall(number: int, *args: object) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *args))


def _die_with(parent: int) -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "death signal")
    if os.getppid() != parent:
        sys.exit("the backend is gone")


def _keep_capabilities(mask: int) -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    current = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, current), "capget")
    _, low, _, _, high, _ = struct.unpack("=6I", current.raw)
    low, high = low & mask, high & (mask >> 32)
    _check(_libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)), "capset")


def _restrict_files(abi: int, rules: tuple[tuple[str, int], ...]) -> None:
    """Nothing of the file system but `rules`; no TCP; no signals and sockets to outside."""
    bits = _LANDLOCK_FILE_BITS.get(abi, _LANDLOCK_FILE_BITS_MAX)
    handled = struct.pack("=QQQ", (1 << bits) - 1, 0b11, 0b11)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _check(
        _syscall(_LANDLOCK_CREATE_RULESET, handled, ctypes.c_size_t(size), 0), "landlock ruleset"
    )
    for path, access in rules:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", access, beneath)
        _check(
            _syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0),
            f"landlock rule for {path}",
        )
        os.close(beneath)
    _check(_syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def _filter_calls(program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    fprog = Program(len(program) // 8, program)
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(fprog), 0, 0), "seccomp")


def main() -> None:
    plan, command = marshal.loads(bytes.fromhex(sys.argv[1])), sys.argv[2:]
    _die_with(plan["parent"])
    os.closerange(_FIRST_FOREIGN_DESCRIPTOR, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _keep_capabilities(plan["capabilities"])
    if plan["landlock"]:
        _restrict_files(plan["landlock"], plan["rules"])
    for number, limit in plan["limits"]:
        resource.setrlimit(number, (limit, limit))
    if plan["seccomp"]:
        _filter_calls(plan["seccomp"])
    os.execve(command[0], command, {"TZ": "UTC"})


if __name__ == "__main__":
    main()
