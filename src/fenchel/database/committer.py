"""The one task that commits: checks, timestamps, durable group write, publication in order.

Commits that arrive while a write is running form the next group. A transaction that conflicts, or
whose caller has gone, costs only itself. A durable write that the storage surely refused costs its
group. Any other failed write has an unknown outcome, so it stops the database; the next start
recovers from the log. Source: database specification 7.5.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from fenchel.database.commit import PreparedCommit
from fenchel.database.commit_log import CommitLog
from fenchel.database.metadata import Metadata
from fenchel.database.metrics import CommitMetrics
from fenchel.database.persisted_timestamps import MAX_REPEATABLE_TS, encode_global_ts
from fenchel.database.read_set import IndexWrite
from fenchel.database.reservations import Reservation, Reservations
from fenchel.database.snapshot import SnapshotManager
from fenchel.database.subscription import SubscriptionManager
from fenchel.database.timestamp_waiters import TimestampWaiters
from fenchel.database.write_description import describe_write
from fenchel.documents import TabletId, Timestamp
from fenchel.errors import ConflictError, ErrorKind, FenchelError, overloaded
from fenchel.persistence import (
    DocumentRow,
    IndexRow,
    LeaseLostError,
    NotStoredError,
    Persistence,
    SummaryRow,
    WriteBatch,
)
from fenchel.runtime import Runtime

_log = logging.getLogger(__name__)

_NANOSECONDS = 1_000_000_000
# Some 5,000 index writes, which take about five milliseconds to forget.
_TRIM_BYTES_MAX = 2 << 20


class _Request(msgspec.Struct, kw_only=True):
    """`place` starts None, and is set when the commit has to wait for somebody's turn to end."""

    commit: PreparedCommit
    result: asyncio.Future[Timestamp]
    on_publish: Callable[[Timestamp], None] | None = None
    place: Reservation | None = None


class _Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that will happen: validated, with its timestamp, only the durable write is missing.

    `counts` are (documents, bytes) of each written table when this commit is done.
    """

    request: _Request
    commit: PreparedCommit
    ts: Timestamp
    metadata: Metadata
    writes: dict[bytes, list[IndexWrite]]
    counts: dict[TabletId, tuple[int, int]]


class Committer:
    """Owner of the newest state. `close` ends it after the commits that were accepted.

    `failure` starts None; once set, every commit fails with it. `_last_ts` is the newest timestamp
    given out, published or not. `_pending_metadata` and `_pending_counts` include admitted commits;
    between two groups they equal the published state.
    """

    def __init__(
        self,
        *,
        persistence: Persistence,
        runtime: Runtime,
        snapshots: SnapshotManager,
        log: CommitLog,
        subscriptions: SubscriptionManager,
        waiters: TimestampWaiters,
    ) -> None:
        self._persistence = persistence
        self._runtime = runtime
        self._settings = runtime.settings.database
        self._snapshots = snapshots
        self._log = log
        self._subscriptions = subscriptions
        self._waiters = waiters
        self._queue: deque[_Request] = deque()
        # Commits that wait for somebody's turn to end, in the order of their arrival.
        self._parked: list[_Request] = []
        self._reservations = Reservations(
            seconds_max=self._settings.reservation_seconds_max, on_end=self._unpark
        )
        self.metrics = CommitMetrics(lambda: len(self._queue) + len(self._parked))
        self._has_work = asyncio.Event()
        self._is_closing = False
        self._last_ts = snapshots.latest_ts
        self._last_trim_ns = 0
        # What was published when the last trim began.
        self._trim_ts = snapshots.latest_ts
        # The next part of a trim that takes more than one turn of the loop.
        self._trimming: asyncio.Handle | None = None
        self._pending_metadata = snapshots.latest_metadata
        self._pending_counts: dict[TabletId, tuple[int, int]] = {}
        self.failure: FenchelError | None = None
        self.failed = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="fenchel-committer")
        self._lease_watch = asyncio.create_task(self._stop_when_lost(), name="fenchel-lease-watch")

    async def commit(
        self, commit: PreparedCommit, on_publish: Callable[[Timestamp], None] | None = None
    ) -> Timestamp:
        """The commit's timestamp, once it is durable and published; `on_publish` learns it before
        anybody can see the commit.

        A caller that is cancelled while its commit waits in the queue withdraws it; later the
        commit happens all the same. Raises: ConflictError, CommitterFullError, NotStoredError,
        DatabaseStopped, OutOfRetention.
        """
        self.check_running()
        waiting_count = len(self._queue) + len(self._parked)
        if waiting_count >= self._settings.commit_queue_count_max:
            raise overloaded("CommitterFullError", "Too many concurrent commits. Try again later.")
        result: asyncio.Future[Timestamp] = asyncio.get_running_loop().create_future()
        self._queue.append(_Request(commit=commit, result=result, on_publish=on_publish))
        self._has_work.set()
        return await result

    @asynccontextmanager
    async def reserve(self, lost: PreparedCommit) -> AsyncIterator[Reservation | None]:
        """A turn with the lost commit's reads and writes; None if it did not come in time, or if
        too many wait. Raises: DatabaseStopped."""
        self.check_running()
        if self._reservations.count >= self._settings.reservation_count_max:
            yield None
            return
        reservation = self._reservations.ask(lost.reads, lost.index_writes(lost.begin_ts))
        try:
            has_turn = await self._wait_for_turn(reservation)
            self.check_running()
            yield reservation if has_turn else None
        finally:
            self._reservations.end(reservation)

    async def _wait_for_turn(self, reservation: Reservation) -> bool:
        """True once the turn has come and what was admitted before it is published; False, and out
        of the line, if that takes too long."""
        try:
            async with asyncio.timeout(self._settings.reservation_wait_seconds_max):
                await reservation.turn
                if self._last_ts > self._snapshots.latest_ts:
                    await self._waiters.wait(self._last_ts)
        except TimeoutError:
            self._reservations.end(reservation)
        return reservation.is_held

    def check_running(self) -> None:
        """Raises: DatabaseStopped; LeaseLost or DatabaseUnreachable when the newest state here may
        not be the newest."""
        if self.failure is not None:
            raise self.failure
        self._persistence.check_owned()
        if self._is_closing:
            raise self.closed_error()

    def closed_error(self) -> FenchelError:
        """What callers learn after an orderly end."""
        return _stopped("The database is shutting down.")

    async def close(self) -> None:
        """Finish what was accepted, then stop. A second call does nothing."""
        self._is_closing = True
        self._reservations.close()
        self._has_work.set()
        await self._task
        self._lease_watch.cancel()
        await asyncio.gather(self._lease_watch, return_exceptions=True)

    def check_invariants(self) -> None:
        self._reservations.check_invariants()

    async def _stop_when_lost(self) -> None:
        """Another server owns the data: what is known here grows old from now on."""
        await self._persistence.wait_lost()
        if self.failure is None:
            try:
                self._persistence.check_owned()
            except LeaseLostError as error:
                self._stop(error)

    async def _run(self) -> None:
        try:
            while True:
                await self._has_work.wait()
                group = self._take_group()
                if group:
                    await self._commit_group(group)
                elif self._is_closing:
                    return
                else:
                    self._has_work.clear()
        except asyncio.CancelledError as error:
            self._stop(error)
            raise
        except Exception as error:  # noqa: BLE001 - outermost frame: nothing may commit after this
            self._stop(error)

    def _take_group(self) -> list[_Request]:
        """Up to a group of waiting commits, without those whose caller has gone."""
        group: list[_Request] = []
        while self._queue and len(group) < self._settings.group_commit_count_max:
            request = self._queue.popleft()
            if request.result.done():
                self._leave_line(request)
            else:
                group.append(request)
        return group

    async def _commit_group(self, group: list[_Request]) -> None:
        try:
            admitted = [entry for request in group if (entry := self._try_admit(request))]
            if admitted:
                await self._runtime.faults.reach("committer.before_persist")
                await self._write(admitted)
                await self._runtime.faults.reach("committer.before_publish")
            for entry in admitted:
                self._publish(entry)
        except NotStoredError as error:
            self._refuse(admitted, error)
        except BaseException:
            # The callers of this group are no longer in the queue; `_stop` must find them.
            self._queue.extendleft(reversed(group))
            raise
        self._pending_counts.clear()
        self._trim()

    async def _write(self, admitted: list[_Admitted]) -> None:
        start = self._runtime.clock.monotonic()
        is_success = False
        try:
            await self._persistence.write(_group_batch(admitted))
            is_success = True
        finally:
            seconds = self._runtime.clock.monotonic() - start
            self.metrics.record_write(seconds, len(admitted), is_success=is_success)

    def _try_admit(self, request: _Request) -> _Admitted | None:
        """The commit with its timestamp, or None: it failed, which only its caller learns, or it
        waits for somebody's turn to end."""
        try:
            self._check_conflict(request.commit)
            if self._must_wait(request):
                self._parked.append(request)
                return None
            admitted = self._admit(request)
        except Exception as error:  # noqa: BLE001 - a bug in one commit must not fail the others
            request.result.set_exception(error)
            admitted = None
        self._leave_line(request)
        return admitted

    def _check_conflict(self, commit: PreparedCommit) -> None:
        """Raises: ConflictError, OutOfRetention."""
        conflict = self._log.first_overlap(
            commit.reads, after_ts=commit.begin_ts, through_ts=self._last_ts
        )
        if conflict is not None:
            raise self._conflict_error(conflict, commit)

    def _must_wait(self, request: _Request) -> bool:
        """Whether the commit would make somebody lose in his turn; it has a place in the line
        then."""
        commit = request.commit
        if self._reservations.count == 0:
            return False
        writes = commit.index_writes(commit.begin_ts)
        own = commit.reservation
        place = own if own is not None and own.is_held else request.place
        if not self._reservations.must_wait(writes, place):
            return False
        if request.place is None:
            request.place = self._reservations.join(writes)
        return True

    def _leave_line(self, request: _Request) -> None:
        """The commit waits no more; turns behind it may come."""
        if request.place is not None:
            self._reservations.end(request.place)
            request.place = None

    def _unpark(self) -> None:
        """A turn has ended: everybody who waited for one tries again, before those who came
        later."""
        self._queue.extendleft(reversed(self._parked))
        self._parked.clear()
        self._has_work.set()

    def _admit(self, request: _Request) -> _Admitted:
        """Give the validated commit its timestamp. Changes nothing if it raises."""
        ts = Timestamp(max(self._last_ts + 1, self._runtime.clock.now_ns()))
        commit = request.commit.at(ts)
        writes = commit.index_writes(ts)
        counts = self._counts_after(commit)
        metadata = commit.metadata_after(self._pending_metadata)
        self._log.append(ts, writes)
        self._last_ts = ts
        self._pending_metadata = metadata
        self._pending_counts.update(counts)
        return _Admitted(
            request=request, commit=commit, ts=ts, metadata=metadata, writes=writes, counts=counts
        )

    def _counts_after(self, commit: PreparedCommit) -> dict[TabletId, tuple[int, int]]:
        """(documents, bytes) of each written table when this commit is done."""
        counts = {}
        for tablet_id, (count_gain, bytes_gain) in commit.count_changes().items():
            known = self._pending_counts.get(tablet_id)
            count, size_bytes = known or self._snapshots.counts.latest(tablet_id)
            assert count + count_gain >= 0
            assert size_bytes + bytes_gain >= 0
            counts[tablet_id] = (count + count_gain, size_bytes + bytes_gain)
        return counts

    def _publish(self, entry: _Admitted) -> None:
        """Durable to visible: snapshot, subscriptions, waiters, then the caller. Never awaits."""
        request, commit, ts = entry.request, entry.commit, entry.ts
        if request.on_publish is not None:
            request.on_publish(ts)
        self._snapshots.publish(
            ts, entry.metadata, commit.memory_rows(ts), commit.changes, entry.counts
        )
        self._subscriptions.advance(ts, entry.writes)
        self._waiters.advance(ts)
        if not request.result.done():
            request.result.set_result(ts)

    def _refuse(self, admitted: list[_Admitted], error: NotStoredError) -> None:
        """Nothing of the group is stored: be as before it. Its timestamps are never used again."""
        _log.warning("commits refused count=%d error=%s", len(admitted), error.message)
        self._log.discard_after(self._snapshots.latest_ts)
        self._pending_metadata = self._snapshots.latest_metadata
        for entry in admitted:
            if not entry.request.result.done():
                entry.request.result.set_exception(error)
        # Who conflicted with one of these commits waits for its timestamp.
        self._waiters.advance(self._last_ts)

    def _trim(self) -> None:
        """Forget old commits, at most once a second. What was published since the last time is not
        old, even if the clock was put forward since: somebody may have begun right before it.
        """
        now_ns = self._runtime.clock.now_ns()
        if self._trimming is None and now_ns - self._last_trim_ns >= _NANOSECONDS:
            through_ts, self._trim_ts = self._trim_ts, self._snapshots.latest_ts
            self._trim_some(through_ts)

    def _trim_some(self, through_ts: Timestamp) -> None:
        """A part in each turn of the loop: a large import leaves more than a second's work."""
        self._last_trim_ns = self._runtime.clock.now_ns()
        has_more = self._log.trim(
            self._last_trim_ns, through_ts=through_ts, bytes_max=_TRIM_BYTES_MAX
        )
        loop = asyncio.get_running_loop()
        self._trimming = loop.call_soon(self._trim_some, through_ts) if has_more else None

    def _conflict_error(self, write: IndexWrite, loser: PreparedCommit) -> ConflictError:
        is_own_function = write.write_source == loser.write_source
        return ConflictError(
            describe_write(write, self._pending_metadata, is_own_function=is_own_function)
        )

    def _stop(self, error: BaseException) -> None:
        """The end: nobody may believe that a commit of unknown outcome did not happen."""
        if isinstance(error, LeaseLostError):
            self.failure = error
            _log.warning("committer stopped: %s", error.code)
        else:
            self.failure = _stopped(
                f"The database stopped because a commit could not be finished: {error}. Whether it "
                "is stored is unknown until the next start."
            )
            _log.critical("committer stopped", exc_info=error)
        self._reservations.close()
        for request in self._queue:
            if not request.result.done():
                request.result.set_exception(self.failure)
        self._queue.clear()
        self._waiters.fail(self.failure)
        self.failed.set()


def _stopped(message: str) -> FenchelError:
    return FenchelError(ErrorKind.OPERATIONAL, "DatabaseStopped", message)


def _group_batch(admitted: list[_Admitted]) -> WriteBatch:
    """All commits' rows as one write; of each table only the last summary."""
    documents: list[DocumentRow] = []
    index_rows: list[IndexRow] = []
    counts: dict[TabletId, tuple[int, int]] = {}
    global_values: dict[str, str] = {}
    for entry in admitted:
        commit, ts = entry.commit, entry.ts
        documents += commit.document_rows(ts)
        index_rows += commit.index_rows(ts)
        counts.update(entry.counts)
        if not commit.changes:
            global_values[MAX_REPEATABLE_TS] = encode_global_ts(ts)
    return WriteBatch(
        documents=documents,
        index_rows=index_rows,
        summaries=[SummaryRow(tablet_id, *sums) for tablet_id, sums in counts.items()],
        global_values=global_values,
    )
