"""What processes have used so far, from /proc (Linux only)."""

from __future__ import annotations

import os
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types

_CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def process_cpu_seconds(process_id: int) -> float:
    """User and system time of all threads; steps of 10 ms."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS_PER_SECOND  # proc(5)


def process_resident_bytes(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * _PAGE_BYTES


def tree_cpu_seconds(process_id: int) -> float:
    """Of the process and all below it, those that have ended included; steps of 10 ms."""
    main = psutil.Process(process_id)
    # The second pair is what processes that have ended used.
    return sum(sum(p.cpu_times()[:4]) for p in (main, *main.children(recursive=True)))
