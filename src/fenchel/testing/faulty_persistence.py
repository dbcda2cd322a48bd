"""A persistence whose disk is slow, full or broken, whose process may die around each write, and
whose lease another process may take.

What was stored stays in the `Persistence` below, over which the next process opens its database.
Every fault is a probability or a time in `FaultPlan`; a seeded source decides.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace

from fenchel.documents import Interval
from fenchel.persistence import (
    IndexPage,
    IndexRow,
    LeaseLostError,
    LogPage,
    NotStoredError,
    Persistence,
    RevisionKey,
    SummaryRow,
    WriteBatch,
)
from fenchel.runtime import Clock, FaultPoints
from fenchel.testing.simulated_process import SimulatedProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Probabilities are per durable write, or per read; times are the longest in seconds."""

    read_seconds: float = 0.002
    write_seconds: float = 0.005
    slow_write: float = 0.0
    slow_write_seconds: float = 5.0
    # The process dies: with the validated group in memory; in the write, which the disk finished or
    # not; with the group durable and nobody told.
    crash_before_persist: float = 0.0
    crash_in_write: float = 0.0
    crash_before_publish: float = 0.0
    # The write fails and the disk says so; it may have happened all the same.
    failed_write: float = 0.0
    # The disk takes nothing for a while, and surely keeps nothing of what it refused.
    disk_full: float = 0.0
    disk_full_seconds: float = 2.0
    failed_read: float = 0.0
    # The process dies while retention moves its bounds or deletes.
    crash_in_retention: float = 0.0
    # Another process takes the data over, just before the write or after it, as the lease of
    # Postgres allows; this one learns it after a while.
    lease_lost: float = 0.0
    lease_notice_seconds: float = 0.05

    def without_faults(self) -> FaultPlan:
        """The same times, but nothing fails."""
        return FaultPlan(read_seconds=self.read_seconds, write_seconds=self.write_seconds)

    @classmethod
    def drawn(cls, source: random.Random) -> FaultPlan:
        """Some faults often, others never: each draw looks into another corner."""
        names = (
            *("slow_write", "crash_before_persist", "crash_in_write", "crash_before_publish"),
            *("failed_write", "disk_full", "failed_read", "crash_in_retention", "lease_lost"),
        )
        chosen = {name: source.choice((0.0, 0.0, 0.004, 0.03)) for name in names}
        times = {
            "read_seconds": source.choice((0.0, 0.002, 0.05)),
            "write_seconds": source.choice((0.0, 0.005, 0.2)),
        }
        return replace(cls(), **chosen, **times)


class SimulatedDisk:
    """What outlives processes: the stored content, who owns it, and until when the disk is full.

    `owner` starts None and is the process that opened last, unless `take_over` has made it nobody.
    `expired_count` counts what retention has deleted.
    """

    def __init__(self, content: Persistence, clock: Clock, source: random.Random) -> None:
        self.content = content
        self._clock = clock
        self.plan = FaultPlan()
        self.source = source
        self.full_until = 0.0
        self.fault_counts: dict[str, int] = {}
        self.owner: SimulatedProcess | None = None
        self.expired_count = 0

    def take_over(self) -> None:
        """From now on the present owner may store nothing and read nothing; it learns it soon, and
        ends then."""
        if self.owner is not None:
            notice_seconds = self.source.uniform(0.0, self.plan.lease_notice_seconds)
            asyncio.get_running_loop().call_later(notice_seconds, self.owner.crash)
        self.owner = None

    def happens(self, name: str) -> bool:
        """Whether the fault strikes this time; counted if so."""
        if self.source.random() >= getattr(self.plan, name):
            return False
        self.fault_counts[name] = self.fault_counts.get(name, 0) + 1
        return True

    async def wait(self, seconds_max: float) -> None:
        """Somebody else's turn, or some time."""
        await self._clock.sleep(self.source.uniform(0.0, seconds_max))

    def is_full(self) -> bool:
        now = self._clock.monotonic()
        # Not drawn anew while it is full: tries must not keep it so.
        if now >= self.full_until and self.happens("disk_full"):
            self.full_until = now + self.plan.disk_full_seconds
        return now < self.full_until


class FaultyPersistence:
    """`Persistence` of one process over the disk. A dead process writes nothing any more."""

    def __init__(self, disk: SimulatedDisk, process: SimulatedProcess) -> None:
        self._disk = disk
        self._process = process
        disk.owner = process

    def check_owned(self) -> None:
        if self._disk.owner is not self._process:
            raise LeaseLostError("the simulated disk")

    async def wait_lost(self) -> None:
        """The disk ends an overtaken process by itself."""
        await asyncio.Event().wait()

    async def write(self, batch: WriteBatch) -> None:
        disk, plan = self._disk, self._disk.plan
        await disk.wait(plan.write_seconds)
        if disk.happens("slow_write"):
            await disk.wait(plan.slow_write_seconds)
        if disk.is_full():
            raise NotStoredError("No space left on device")
        if disk.happens("crash_in_write"):
            if disk.source.random() < 0.5:
                await self._store(batch)
            await self._process.crash_here()
        if disk.happens("failed_write"):
            if disk.source.random() < 0.5:
                await self._store(batch)
            raise OSError(5, "Input/output error")
        if disk.happens("lease_lost"):
            if disk.source.random() < 0.5:
                await self._store(batch)
                disk.take_over()
                return
            disk.take_over()
        await self._store(batch)

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        await self._read()
        return await self._disk.content.load_index_page(
            index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )

    async def load_log_page(self, after: RevisionKey, *, through_ts: int, limit: int) -> LogPage:
        await self._read()
        return await self._disk.content.load_log_page(after, through_ts=through_ts, limit=limit)

    async def was_deleted(self, tablet_id: bytes, internal_id: bytes) -> bool:
        await self._read()
        return await self._disk.content.was_deleted(tablet_id, internal_id)

    async def load_index_rows(self, index_id: bytes, *, limit: int) -> list[IndexRow]:
        await self._read()
        return await self._disk.content.load_index_rows(index_id, limit=limit)

    async def load_latest_ts(self) -> int:
        return await self._disk.content.load_latest_ts()

    async def load_summaries(self) -> list[SummaryRow]:
        return await self._disk.content.load_summaries()

    async def load_globals(self) -> dict[str, str]:
        return await self._disk.content.load_globals()

    async def close(self) -> None:
        """The content stays open for the next process."""

    async def _read(self) -> None:
        await self._disk.wait(self._disk.plan.read_seconds)
        if self._disk.happens("failed_read"):
            raise OSError(5, "Input/output error")
        self.check_owned()

    async def _store(self, batch: WriteBatch) -> None:
        assert self._process.is_alive, "a dead process writes"
        self.check_owned()
        self._disk.expired_count += len(batch.expired_documents) + len(batch.expired_index_rows)
        await self._disk.content.write(batch)


def arm_crashes(faults: FaultPoints, disk: SimulatedDisk, process: SimulatedProcess) -> None:
    """Let the process die at the committer's named places as the disk's plan says."""

    async def before_persist() -> None:
        if disk.happens("crash_before_persist"):
            await process.crash_here()

    async def before_publish() -> None:
        if disk.happens("crash_before_publish"):
            await process.crash_here()

    async def in_retention() -> None:
        if disk.happens("crash_in_retention"):
            await process.crash_here()

    faults.arm("committer.before_persist", before_persist)
    faults.arm("committer.before_publish", before_publish)
    faults.arm("retention.before_bounds", in_retention)
    faults.arm("retention.before_delete", in_retention)
