"""The filter program: executed here by a small interpreter, and its numbers held against the
kernel's headers where they are installed.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from fenchel.isolate import seccomp_filter
from fenchel.isolate.seccomp_filter import build_filter

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
ALLOWED, REFUSED, KILLED = 0x7FFF0000, 0x00050000 | 38, 0x80000000
HEADERS = {
    0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    1: Path("/usr/include/asm-generic/unistd.h"),
}


def verdict(program: bytes, architecture: int, number: int, *args: int) -> int:
    """What the kernel would return for one call."""
    padded = (*args, *[0] * (6 - len(args)))
    data = struct.pack("=IIQ6Q", number, architecture, 0, *padded)
    accumulator = position = 0
    instructions = list(struct.iter_unpack("=HBBI", program))
    while True:
        code, if_true, if_false, value = instructions[position]
        position += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            position += if_true if accumulator == value else if_false
        else:
            assert code == 0x45
            position += if_true if accumulator & value else if_false


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ((0,), ALLOWED),  # read
        ((9,), ALLOWED),  # mmap
        ((56, 0x3D0F00), ALLOWED),  # clone of a thread
        ((56, 0x1200011), REFUSED),  # clone of a process
        ((435,), REFUSED),  # clone3
        ((57,), REFUSED),  # fork
        ((41, 2), REFUSED),  # socket
        ((42,), REFUSED),  # connect
        ((49,), REFUSED),  # bind
        ((62, 1, 9), REFUSED),  # kill
        ((234,), REFUSED),  # tgkill
        ((101,), REFUSED),  # ptrace
        ((310,), REFUSED),  # process_vm_readv
        ((425,), REFUSED),  # io_uring_setup
        ((272,), REFUSED),  # unshare
        ((165,), REFUSED),  # mount
        ((321,), REFUSED),  # bpf
        ((157, 15), ALLOWED),  # prctl: name of the thread
        ((157, 1, 0), REFUSED),  # prctl: death signal
        ((16, 1, 0x5421), ALLOWED),  # ioctl: FIONBIO
        ((16, 1, 0x5412), REFUSED),  # ioctl: TIOCSTI
        ((302, 0, 7), ALLOWED),  # prlimit64 of itself
        ((302, 1, 7), REFUSED),  # prlimit64 of another
        ((0x40000000,), REFUSED),  # read by the numbering of x32
        ((9999,), REFUSED),
    ],
    ids=str,
)
def test_calls_on_x86_64(call: tuple[int, ...], expected: int) -> None:
    assert verdict(build_filter("x86_64"), X86_64, *call) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [((63,), ALLOWED), ((220, 0x3D0F00), ALLOWED), ((220, 17), REFUSED), ((198,), REFUSED)],
    ids=str,
)
def test_calls_on_aarch64(call: tuple[int, ...], expected: int) -> None:
    assert verdict(build_filter("aarch64"), AARCH64, *call) == expected


def test_a_foreign_numbering_ends_the_process() -> None:
    assert verdict(build_filter("x86_64"), 0x40000003, 0) == KILLED


@pytest.mark.parametrize("column", HEADERS, ids=["x86_64", "aarch64"])
def test_the_numbers_are_the_kernels(column: int) -> None:
    if not HEADERS[column].exists():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[column].read_text())
    known = {name: int(number) for name, number in found}
    known.setdefault("newfstatat", known.get("fstatat", -1))
    conditional = {name: pair for name, (pair, _, _) in seccomp_filter._ALLOWED_IF_EQUAL.items()}
    clone = {"clone": seccomp_filter._CLONE}
    for name, numbers in {**seccomp_filter._ALLOWED, **conditional, **clone}.items():
        assert known.get(name) == numbers[column], name
