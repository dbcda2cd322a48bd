"""The face of the room: begin, commit, tokens, subscriptions. It composes; the parts decide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager

from fenchel.database.bootstrap import create_system_tables, load_state
from fenchel.database.commit import prepare_bump, prepare_commit
from fenchel.database.committer import Committer
from fenchel.database.in_memory_indexes import InMemoryIndexes
from fenchel.database.metadata import Metadata
from fenchel.database.metrics import CommitMetrics
from fenchel.database.read_set import Token
from fenchel.database.reservations import Reservation
from fenchel.database.snapshot import SnapshotManager
from fenchel.database.subscription import Subscription, SubscriptionManager
from fenchel.database.system_upgrade import complete_system_indexes
from fenchel.database.timestamp_waiters import TimestampWaiters
from fenchel.database.transaction import Transaction
from fenchel.database.virtual_tables import VirtualTable, VirtualTables
from fenchel.database.write_description import describe_write
from fenchel.documents import Timestamp
from fenchel.errors import ConflictSource, FenchelError
from fenchel.persistence import Persistence
from fenchel.runtime import Runtime


class Database:
    """A serializable multi-version database. One per persistence; used from one event loop.

    `snapshots` is for the room's own workers.
    """

    def __init__(
        self,
        persistence: Persistence,
        runtime: Runtime,
        snapshots: SnapshotManager,
        virtual_tables: VirtualTables,
    ) -> None:
        settings = runtime.settings.database
        self.persistence = persistence
        self.runtime = runtime
        self._virtual_tables = virtual_tables
        self.snapshots = snapshots
        self._log = snapshots.log
        self._subscriptions = SubscriptionManager(
            self._log, count_max=settings.subscription_count_max
        )
        self._waiters = TimestampWaiters()
        self._committer = Committer(
            persistence=persistence,
            runtime=runtime,
            snapshots=snapshots,
            log=self._log,
            subscriptions=self._subscriptions,
            waiters=self._waiters,
        )

    @classmethod
    async def open(
        cls,
        persistence: Persistence,
        runtime: Runtime,
        virtual_tables: Iterable[VirtualTable] = (),
        *,
        older_indexes: InMemoryIndexes | None = None,
    ) -> Database:
        """Open what is stored, or start a fresh database. It owns the persistence from here on.

        Reads only metadata and the system tables that are kept in memory; a database of an older
        version first gets the system tables and indexes that it lacks. Raises: FenchelError, and
        whatever the persistence raises; the persistence is closed then.
        """
        views = {table.name: table for table in virtual_tables}
        database = await cls._load(persistence, runtime, views, older_indexes)
        try:
            if not await complete_system_indexes(database):
                return database
            await database._committer.close()
        except BaseException:
            await database.close()
            raise
        # What is kept in memory was loaded by the indexes that there were.
        return await cls._load(persistence, runtime, views, older_indexes)

    @classmethod
    async def _load(
        cls,
        persistence: Persistence,
        runtime: Runtime,
        virtual_tables: VirtualTables,
        older_indexes: InMemoryIndexes | None,
    ) -> Database:
        try:
            state = await load_state(persistence, runtime, older_indexes)
        except BaseException:
            await persistence.close()
            raise
        database = cls(persistence, runtime, state.snapshots, virtual_tables)
        try:
            tx = database.begin()
            create_system_tables(tx, is_fresh=state.is_fresh)
            await database.commit(tx)
        except BaseException:
            await database.close()
            raise
        return database

    @property
    def metadata(self) -> Metadata:
        """Tables, indexes and schemas at the newest published timestamp."""
        return self.snapshots.latest_metadata

    @property
    def commit_metrics(self) -> CommitMetrics:
        return self._committer.metrics

    def latest_ts(self) -> Timestamp:
        """The newest published timestamp: what `begin` reads at."""
        return self.snapshots.latest_ts

    def begin(
        self, *, ts: Timestamp | None = None, reservation: Reservation | None = None
    ) -> Transaction:
        """A transaction at the newest snapshot, or at an older one that is still retained; in the
        turn of `reservation`.

        Raises: OutOfRetention, DatabaseStopped; LeaseLost, DatabaseUnreachable when another server
        owns the data or may.
        """
        self._committer.check_running()
        snapshot = self.snapshots.at(self.snapshots.latest_ts if ts is None else ts)
        return Transaction(snapshot, self.runtime, self._virtual_tables, reservation)

    @asynccontextmanager
    async def reserve(self, lost: Transaction) -> AsyncIterator[Reservation | None]:
        """A turn for the next attempt of a transaction whose commit conflicted.

        Within it, commits of others that would touch what `lost` read wait, for a limited time; so
        an attempt that reads the same cannot lose. Waits, for a limited time, until earlier turns
        that conflict have ended; None means to go on without a turn. Raises: DatabaseStopped.
        """
        async with self._committer.reserve(prepare_commit(lost, None)) as reservation:
            yield reservation

    async def commit(
        self,
        tx: Transaction,
        *,
        write_source: str | None = None,
        on_publish: Callable[[Timestamp], None] | None = None,
    ) -> Timestamp:
        """The commit timestamp, once durable and published; its begin timestamp if it wrote
        nothing.

        The transaction must not be used afterwards, but its token may. `write_source` names the
        function in conflict messages. `on_publish` is called with the timestamp before anybody can
        see the writes; it must not raise. Raises: ConflictError, OutOfRetention,
        CommitterFullError, NotStoredError, DatabaseStopped.
        """
        tx.check_levels_closed()
        prepared = prepare_commit(tx, write_source)
        if not prepared.changes:
            return tx.begin_ts
        return await self._committer.commit(prepared, on_publish)

    def hold_snapshot(self, ts: Timestamp | None = None) -> AbstractContextManager[Timestamp]:
        """A block in which the snapshot at `ts`, or the newest, stays readable however long it
        takes: for exports and the like. It holds back the deletion of all history after it.

        Raises: OutOfRetention.
        """
        return self.snapshots.bounds.hold(self.snapshots.latest_ts if ts is None else ts)

    async def bump_repeatable_ts(self) -> Timestamp:
        """A new published timestamp at which nothing changed, promised to be before all later
        commits, also those after a crash (specification 9.3).

        Raises: CommitterFullError, NotStoredError, DatabaseStopped.
        """
        return await self._committer.commit(prepare_bump(self.snapshots.latest_ts))

    def token(self, tx: Transaction) -> Token:
        """What the transaction has read, at its begin timestamp. It must not read any more."""
        tx.reads.freeze()
        return Token(reads=tx.reads, ts=tx.begin_ts)

    def refresh(self, token: Token, ts: Timestamp) -> Token | None:
        """The token at the later, published `ts`; None if a commit in between touched its reads.

        Raises: OutOfRetention if the commits since the token are no longer known; DatabaseStopped,
        and as `begin`, when later commits may be unknown here.
        """
        self._committer.check_running()
        assert ts <= self.snapshots.latest_ts, "refresh to the future"
        if ts <= token.ts:
            return token
        overlap = self._log.first_overlap(token.reads, after_ts=token.ts, through_ts=ts)
        return Token(reads=token.reads, ts=ts) if overlap is None else None

    def find_change(self, token: Token, ts: Timestamp) -> ConflictSource | None:
        """Why `refresh` to `ts` gives None: the first write that touched the reads.

        Raises: OutOfRetention.
        """
        write = self._log.first_overlap(token.reads, after_ts=token.ts, through_ts=ts)
        return None if write is None else describe_write(write, self.metadata)

    def subscribe(
        self, token: Token, on_invalidate: Callable[[Subscription], None]
    ) -> Subscription:
        """Watch the token's reads. The callback runs once, in its own turn of the loop, when a
        commit after the token touches them; also if one already has (the subscription is born
        invalid).

        Raises: SubscriptionsWorkerFullError, OutOfRetention.
        """
        return self._subscriptions.subscribe(token, self.snapshots.latest_ts, on_invalidate)

    async def wait_for_ts(self, ts: Timestamp) -> None:
        """Return when `ts` is published, or will never be because its commit was refused. The
        caller sets the deadline. Raises: DatabaseStopped."""
        if ts > self.snapshots.latest_ts:
            self._committer.check_running()
            await self._waiters.wait(ts)

    async def wait_failed(self) -> FenchelError:
        """Return when the database has stopped by itself, with the reason: end the process then."""
        await self._committer.failed.wait()
        assert self._committer.failure is not None
        return self._committer.failure

    async def close(self) -> None:
        """Finish accepted commits, then close the persistence. A second call does nothing."""
        await self._committer.close()
        self._waiters.fail(self._committer.closed_error())
        await self.persistence.close()

    def check_invariants(self) -> None:
        """Raise AssertionError if a structure contradicts itself; for tests and simulation."""
        self.snapshots.check_invariants()
        self._log.check_invariants()
        self._subscriptions.check_invariants()
        self._committer.check_invariants()
