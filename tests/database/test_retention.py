"""Old versions go, and nobody who may still read them notices (database specification 9.4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.database import Database, IndexTables, Retention, Transaction
from fenchel.database.background import walk_table
from fenchel.database.persisted_timestamps import CONFIRMED_DELETED_TS, decode_global_ts
from fenchel.definitions import EMPTY_SCHEMA
from fenchel.documents import Interval, TabletId
from fenchel.errors import ErrorKind, FenchelError, internal_error
from fenchel.persistence import (
    IndexPage,
    LogRow,
    MemoryPersistence,
    NotStoredError,
    Persistence,
    WriteBatch,
)
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from tests.database.helpers import index_range, insert, patch, push, query, scan, schema

BY_N = schema({"items": {"indexes": {"by_n": ["n"]}}}, validation=False)
START = (0, b"", b"")


def impatient(**values: Any) -> Runtime:
    """Nothing is retained but the newest snapshot, and each step is small."""
    chosen = {
        "snapshot_retention_seconds": 0.0,
        "document_retention_seconds": 0.0,
        "retention_rows_per_step": 3,
    }
    return Runtime(settings=Settings(database=DatabaseSettings(**{**chosen, **values})))


@pytest.fixture
def runtime() -> Runtime:
    return impatient()


class RefusingPersistence(MemoryPersistence):
    """Memory that can refuse writes, and whose index pages can be made to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False
        self.reading = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, batch: WriteBatch) -> None:
        if self.is_full:
            raise NotStoredError("full")
        await super().write(batch)

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        self.reading.set()
        await self.gate.wait()
        return await super().load_index_page(
            index_id, interval, ts=ts, is_descending=is_descending, limit=limit
        )


async def stored_log(persistence: Persistence) -> list[LogRow]:
    page = await persistence.load_log_page(START, through_ts=1 << 62, limit=10_000)
    return page.rows


async def entry_count(database: Database, table: str, index: str) -> int:
    metadata = database.metadata
    found = metadata.index_named(metadata.root_table(table).tablet_id, index)
    return len(await database.persistence.load_index_rows(found.index_id, limit=10_000))


async def collect(retention: Retention, rounds: int = 2) -> None:
    """Revisions follow one round behind index entries, so both are gone after two."""
    for _ in range(rounds):
        await retention.run_round()


class TestOldVersions:
    async def test_only_live_documents_remain(self, any_database: Database) -> None:
        await push(any_database, BY_N)
        ids = await insert(any_database, "items", *({"n": float(n)} for n in range(5)))
        for n in range(5):
            await patch(any_database, ids[0], n=100.0 + n)
        tx = any_database.begin()
        await tx.user().delete(ids[4])
        await any_database.commit(tx)
        before = len(await stored_log(any_database.persistence))
        await collect(await Retention.load(any_database))
        for index in ("by_id", "by_creation_time", "by_n"):
            assert await entry_count(any_database, "items", index) == 4
        log = await stored_log(any_database.persistence)
        assert len(log) < before
        assert all(row.document is not None for row in log)
        assert len({(row.tablet_id, row.internal_id) for row in log}) == len(log)
        found = await query(any_database.begin(), index_range("items.by_n"))
        assert found == [1.0, 2.0, 3.0, 104.0]

    async def test_entries_of_a_dropped_index_go(self, any_database: Database) -> None:
        await push(any_database, BY_N)
        await insert(any_database, "items", *({"n": float(n)} for n in range(10)))
        metadata = any_database.metadata
        by_n = metadata.index_named(metadata.root_table("items").tablet_id, "by_n")
        tx = any_database.begin()
        await IndexTables(tx).finish(EMPTY_SCHEMA)
        await any_database.commit(tx)
        await collect(await Retention.load(any_database))
        persistence = any_database.persistence
        assert await persistence.load_index_rows(by_n.index_id, limit=1) == []
        assert len(await query(any_database.begin(), scan("items"))) == 10

    async def test_the_log_keeps_what_change_streams_may_ask_for(self) -> None:
        runtime = impatient(document_retention_seconds=3_600.0)
        database = await Database.open(MemoryPersistence(), runtime)
        (id_text,) = await insert(database, "items", {"n": 1.0})
        await patch(database, id_text, n=2.0)
        before = await stored_log(database.persistence)
        await collect(await Retention.load(database))
        assert await stored_log(database.persistence) == before
        assert await entry_count(database, "items", "by_id") == 1
        await database.close()

    async def test_a_new_process_continues_at_the_stored_cursor(
        self, any_database: Database
    ) -> None:
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        await patch(any_database, id_text, n=2.0)
        await collect(await Retention.load(any_database))
        global_values = await any_database.persistence.load_globals()
        confirmed_ts = decode_global_ts(global_values, CONFIRMED_DELETED_TS)
        await patch(any_database, id_text, n=3.0)
        resumed = await Retention.load(any_database)
        assert resumed._entries.confirmed_ts == confirmed_ts > 0
        await collect(resumed)
        assert await entry_count(any_database, "items", "by_id") == 1

    async def test_a_full_disk_interrupts_and_loses_nothing(self, runtime: Runtime) -> None:
        persistence = RefusingPersistence()
        database = await Database.open(persistence, runtime)
        (id_text,) = await insert(database, "items", {"n": 1.0})
        await patch(database, id_text, n=2.0)
        retention = await Retention.load(database)
        min_ts = database.snapshots.bounds.min_ts
        persistence.is_full = True
        with pytest.raises(NotStoredError):
            await retention.run_round()
        assert database.snapshots.bounds.min_ts == min_ts, "in memory before it was stored"
        persistence.is_full = False
        await collect(retention)
        assert await query(database.begin(), scan("items")) == [2.0]
        await database.close()


class TestReaders:
    async def test_a_snapshot_below_the_bound_cannot_be_opened(
        self, any_database: Database
    ) -> None:
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        old_ts = any_database.latest_ts()
        await patch(any_database, id_text, n=2.0)
        await collect(await Retention.load(any_database))
        with pytest.raises(FenchelError) as caught:
            any_database.begin(ts=old_ts)
        assert caught.value.kind is ErrorKind.OUT_OF_RETENTION

    async def test_a_reader_that_deletion_overtakes_is_told(self, runtime: Runtime) -> None:
        persistence = RefusingPersistence()
        database = await Database.open(persistence, runtime)
        await insert(database, "items", {"n": 1.0})
        reader = asyncio.create_task(query(database.begin(), scan("items")), name="reader")
        persistence.gate.clear()
        await persistence.reading.wait()
        await insert(database, "others", {"n": 9.0})
        await (await Retention.load(database)).run_round()
        persistence.gate.set()
        with pytest.raises(FenchelError) as caught:
            await reader
        assert caught.value.kind is ErrorKind.OUT_OF_RETENTION
        await database.close()

    async def test_an_entry_that_leads_nowhere_is_no_bug_then(self, runtime: Runtime) -> None:
        class Deleted(RefusingPersistence):
            async def load_index_page(self, *args: Any, **kwargs: Any) -> IndexPage:
                await super().load_index_page(*args, **kwargs)
                raise internal_error("an index leads to no document")

        database = await Database.open(MemoryPersistence(), runtime)
        await insert(database, "items", {"n": 1.0})
        database.snapshots._persistence = Deleted()
        tx = database.begin()
        with pytest.raises(FenchelError, match="leads to no document"):
            await query(tx, scan("items"))
        await insert(database, "others", {"n": 9.0})
        await (await Retention.load(database)).run_round()
        with pytest.raises(FenchelError, match="OutOfRetention"):
            await query(tx, scan("items"))
        await database.close()

    async def test_a_held_snapshot_stays(self, any_database: Database) -> None:
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        retention = await Retention.load(any_database)
        with any_database.hold_snapshot() as ts:
            await patch(any_database, id_text, n=2.0)
            await collect(retention)
            old = any_database.begin(ts=ts)
            assert await query(old, scan("items")) == [1.0]
            assert await old.user().count("items") == 1
        await collect(retention)
        with pytest.raises(FenchelError):
            any_database.begin(ts=ts)
        assert await entry_count(any_database, "items", "by_id") == 1

    async def test_a_bound_that_was_stored_although_its_write_failed(
        self, runtime: Runtime
    ) -> None:
        class Unsure(RefusingPersistence):
            is_unsure = False

            async def write(self, batch: WriteBatch) -> None:
                await super().write(batch)
                if self.is_unsure:
                    raise OSError("who knows")

        persistence = Unsure()
        runtime = impatient(document_retention_seconds=3_600.0)
        database = await Database.open(persistence, runtime)
        (id_text,) = await insert(database, "items", {"n": 1.0})
        old = database.begin()
        await patch(database, id_text, n=2.0)
        retention = await Retention.load(database)
        persistence.is_unsure = True
        with pytest.raises(OSError, match="who knows"):
            await retention.run_round()
        persistence.is_unsure = False
        await (await Retention.load(database)).run_round()
        with pytest.raises(FenchelError, match="OutOfRetention"):
            await query(old, scan("items"))
        await database.close()

    async def test_a_snapshot_held_while_the_bound_is_stored_stays(
        self, any_database: Database
    ) -> None:
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        ts = any_database.latest_ts()
        await patch(any_database, id_text, n=2.0)
        is_storing, go_on = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            is_storing.set()
            await go_on.wait()

        any_database.runtime.faults.arm("retention.before_bounds", wait)
        retention = await Retention.load(any_database)
        task = asyncio.create_task(retention.run_round(), name="retention")
        await is_storing.wait()
        with any_database.hold_snapshot(ts):
            go_on.set()
            await task
            assert await query(any_database.begin(ts=ts), scan("items")) == [1.0]


class TestDeletedTables:
    async def test_documents_go_and_the_number_is_free_again(self, any_database: Database) -> None:
        await push(any_database, BY_N)
        (id_text, *_) = await insert(any_database, "items", *({"n": float(n)} for n in range(8)))
        await patch(any_database, id_text, n=9.0)
        table = any_database.metadata.root_table("items")
        number, indexes = table.number, any_database.metadata.indexes[table.tablet_id]
        tablet_id = await delete_table(any_database, "items")
        await insert(any_database, "next", {"n": 1.0})
        assert any_database.metadata.root_table("next").number == number + 1
        await collect(await Retention.load(any_database), rounds=3)
        assert tablet_id not in any_database.metadata.tables
        log = await stored_log(any_database.persistence)
        assert [row for row in log if row.tablet_id == tablet_id] == []
        for index in indexes:
            persistence = any_database.persistence
            assert await persistence.load_index_rows(index.index_id, limit=1) == []
        await insert(any_database, "last", {"n": 1.0})
        assert any_database.metadata.root_table("last").number == number

    async def test_a_recent_deletion_waits(self) -> None:
        database = await Database.open(
            MemoryPersistence(), impatient(document_retention_seconds=60.0)
        )
        await insert(database, "items", {"n": 1.0})
        tablet_id = await delete_table(database, "items")
        await collect(await Retention.load(database), rounds=3)
        assert tablet_id in database.metadata.tables
        await database.close()

    async def test_a_worker_that_walks_the_table_ends(self, database: Database) -> None:
        await insert(database, "items", *({"n": float(n)} for n in range(600)))
        table = database.metadata.root_table("items")
        pages = 0
        async for _ in walk_table(database, table):
            pages += 1
            await delete_table(database, "items")
        assert pages == 1


async def delete_table(database: Database, name: str) -> TabletId:
    """What an administrator does: the row is marked, the indexes are dropped."""
    tx = database.begin()
    table = tx.metadata.root_table(name)
    rows = tx.system()
    for index in tx.metadata.indexes[table.tablet_id]:
        await rows.delete("_index", index.id_text)
    document = await rows.get("_tables", table.id_text)
    assert document is not None
    await rows.replace("_tables", table.id_text, {**document.value, "state": "deleting"})
    await database.commit(tx)
    return table.tablet_id


operations = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, 3)),
    st.tuples(st.just("patch"), st.integers(0, 9), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("hold")),
    st.tuples(st.just("release")),
    st.tuples(st.just("round")),
    st.tuples(st.just("restart")),
)


class World:
    """The database beside what every held snapshot must show: numbers by document id."""

    def __init__(self, database: Database, retention: Retention) -> None:
        self.database = database
        self.retention = retention
        self.documents: dict[str, float] = {}
        self.held: list[tuple[Any, int, dict[str, float]]] = []

    async def run(self, operation: tuple[Any, ...]) -> None:
        match operation:
            case ("insert", number):
                (id_text,) = await insert(self.database, "items", {"n": float(number)})
                self.documents[id_text] = float(number)
            case ("patch", place, number) if self.documents:
                id_text = sorted(self.documents)[place % len(self.documents)]
                await patch(self.database, id_text, n=float(number))
                self.documents[id_text] = float(number)
            case ("delete", place) if self.documents:
                id_text = sorted(self.documents)[place % len(self.documents)]
                tx = self.database.begin()
                await tx.user().delete(id_text)
                await self.database.commit(tx)
                del self.documents[id_text]
            case ("hold",):
                context = self.database.hold_snapshot()
                self.held.append((context, context.__enter__(), dict(self.documents)))
            case ("release",) if self.held:
                self.held.pop(0)[0].__exit__(None, None, None)
            case ("round",):
                await self.retention.run_round()
            case ("restart",):
                self.retention = await Retention.load(self.database)
            case _:
                pass
        await self.check()

    async def check(self) -> None:
        self.database.check_invariants()
        for _, ts, documents in self.held:
            await check_snapshot(self.database.begin(ts=ts), documents)  # type: ignore[arg-type]
        await check_snapshot(self.database.begin(), self.documents)

    async def finish(self) -> None:
        while self.held:
            self.held.pop()[0].__exit__(None, None, None)
        await collect(self.retention)
        await self.check()
        for index in ("by_id", "by_creation_time", "by_n"):
            assert await entry_count(self.database, "items", index) == len(self.documents)
        tablet_id = self.database.metadata.root_table("items").tablet_id
        log = await stored_log(self.database.persistence)
        assert sum(row.tablet_id == tablet_id for row in log) == len(self.documents)


async def check_snapshot(tx: Transaction, documents: dict[str, float]) -> None:
    assert await query(tx, index_range("items.by_n"), "n") == sorted(documents.values())
    assert set(await query(tx, scan("items"), "_id")) == set(documents)
    assert await tx.user().count("items") == len(documents)


@settings(max_examples=40)
@given(steps=st.lists(operations, min_size=10, max_size=40))
def test_no_snapshot_that_is_held_ever_changes(steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        database = await Database.open(MemoryPersistence(), impatient())
        await push(database, BY_N)
        world = World(database, await Retention.load(database))
        for step in steps:
            await world.run(step)
        await world.finish()
        await database.close()

    asyncio.run(run())


async def test_the_worker_goes_on_after_a_full_disk() -> None:
    persistence = RefusingPersistence()
    database = await Database.open(persistence, impatient(retention_pause_seconds=0.0))
    (id_text,) = await insert(database, "items", {"n": 1.0})
    await patch(database, id_text, n=2.0)
    refused, deleted = asyncio.Semaphore(0), asyncio.Event()

    async def count() -> None:
        refused.release()

    async def note() -> None:
        deleted.set()

    database.runtime.faults.arm("retention.before_bounds", count)
    database.runtime.faults.arm("retention.before_delete", note)
    persistence.is_full = True
    worker = asyncio.create_task((await Retention.load(database)).run(), name="retention")
    for _ in range(2):
        await refused.acquire()
    assert not deleted.is_set()
    persistence.is_full = False
    await deleted.wait()
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    await database.close()
