"""The system calls that a worker may make, as a classic BPF program for seccomp. Pure.

An allow list: what Node and V8 need for computing, waiting and talking over descriptors that they
hold. No sockets, no new processes, no signals to others, no tracing, no io_uring (it would do
for them what the filter forbids). Everything else fails with ENOSYS, which Node and the C library
take as "an older kernel" and go another way.

Source: Linux, `Documentation/userspace-api/seccomp_filter.rst`; what Node 24 calls was traced
(decision 0013).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_ENOSYS = 38

# Offsets into struct seccomp_data; the low half of an argument on the little-endian machines below.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06

_CLONE_THREAD = 0x00010000

# By name: number on x86_64 and on aarch64 (None: the machine has no such call).
_ALLOWED: dict[str, tuple[int, int | None]] = {
    # Descriptors. Which files can be opened is Landlock's business.
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "openat": (257, 56),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fcntl": (72, 25),
    "dup": (32, 23),
    "dup3": (292, 24),
    "pipe2": (293, 59),
    "eventfd2": (290, 19),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "ppoll": (271, 73),
    # Their older forms, which aarch64 never had.
    "open": (2, None),
    "stat": (4, None),
    "lstat": (6, None),
    "poll": (7, None),
    "access": (21, None),
    "readlink": (89, None),
    "epoll_wait": (232, None),
    "arch_prctl": (158, None),
    # Memory.
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "pkey_mprotect": (329, 288),
    "pkey_alloc": (330, 289),
    "pkey_free": (331, 290),
    # Threads and waiting.
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # Signals to oneself that the C library and V8 handle.
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    # Questions about oneself, the clock and the machine.
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "capget": (125, 90),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    # The launcher's last step. Landlock leaves nothing to execute but Node.
    "execve": (59, 221),
}

# By name: numbers, index of the argument that decides, values it may have.
_ALLOWED_IF_EQUAL: dict[str, tuple[tuple[int, int], int, tuple[int, ...]]] = {
    # FIONBIO, FIOCLEX, FIONREAD, TCGETS.
    "ioctl": ((16, 29), 1, (0x5421, 0x5451, 0x541B, 0x5401)),
    # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA: not the death signal, not the rights.
    "prctl": ((157, 167), 0, (15, 16, 0x53564D41)),
    # Only one's own limits; the hard ones cannot be raised without capabilities.
    "prlimit64": ((302, 261), 0, (0,)),
}
# A new thread, not a new process. clone3 hides its flags from the filter: ENOSYS.
_CLONE = (56, 220)

# By machine: the architecture's number in seccomp_data and the column above.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

SUPPORTED_MACHINES = frozenset(_MACHINES)


def build_filter(machine: str) -> bytes:
    """An array of `struct sock_filter` for a machine in SUPPORTED_MACHINES.

    A call under the numbering of another architecture ends the process.
    """
    architecture, column = _MACHINES[machine]
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture, if_true=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
    ]
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            program.append(_instruction(_JUMP_EQUAL, number, if_false=1))
            program.append(_instruction(_RETURN, _ALLOW))
    for pair, argument, values in _ALLOWED_IF_EQUAL.values():
        program += _if_equal(pair[column], argument, values)
    program += _if_flag(_CLONE[column], 0, _CLONE_THREAD)
    program.append(_instruction(_RETURN, _ERRNO | _ENOSYS))
    return b"".join(program)


def _if_equal(number: int, argument: int, values: tuple[int, ...]) -> Iterator[bytes]:
    """Allow the call if its argument is one of `values`; otherwise its fate is sealed here."""
    yield _instruction(_JUMP_EQUAL, number, if_false=2 * len(values) + 2)
    yield _instruction(_LOAD, _ARGUMENTS + 8 * argument)
    for value in values:
        yield _instruction(_JUMP_EQUAL, value, if_false=1)
        yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_RETURN, _ERRNO | _ENOSYS)


def _if_flag(number: int, argument: int, flag: int) -> Iterator[bytes]:
    yield _instruction(_JUMP_EQUAL, number, if_false=4)
    yield _instruction(_LOAD, _ARGUMENTS + 8 * argument)
    yield _instruction(_JUMP_SET, flag, if_false=1)
    yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_RETURN, _ERRNO | _ENOSYS)


def _instruction(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """One `struct sock_filter`; jumps count the instructions to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
