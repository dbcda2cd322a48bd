"""How many durable commits per second, by one writer and by 64 at once, and what does one cost?

Each commit inserts one document. Raw: the same rows (document, an entry in each of three indexes,
table count) by the driver alone, prepared beforehand, one transaction for one document, or for 64.
`w` has the whole transaction; `group64` only the commits of 64 that were made beforehand, what raw
does too. The aim is half of the raw rate at 64.
"""

# Estimate, one core and a disk that syncs in 150 µs:
#   SQLite   raw: 185 µs with one document, 9 µs each in a batch of 64 (mostly sync); Fenchel: the
#            transaction 25 µs, keys, conflict check and publication 25 µs, futures and tasks 10 µs,
#            thread and loop 50 µs a group; so 4,000/s by one writer and 12,000/s by 64, where
#            Python is the limit
#   Postgres raw: 260 µs with one document, 20 µs each in a batch; its processes' CPU time is not in
#            our figure, and the round trip overlaps with the transactions of the next group

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import asyncpg  # type: ignore[import-untyped]  # ships no types

from benchmarks.engine.plan import EnginePlan
from benchmarks.engine.rows import SCHEMA, TABLE, raw_sqlite, row_document, row_value
from benchmarks.rounds import Measurement
from fenchel.database import ROOT, Database, Transaction
from fenchel.database.commit import prepare_commit
from fenchel.documents import Timestamp
from fenchel.persistence import (
    Persistence,
    PostgresPersistence,
    SqlitePersistence,
    SummaryRow,
    WriteBatch,
    postgres_layout,
)
from fenchel.runtime import Runtime
from tests.database.helpers import insert, push
from tests.postgres_server import PostgresServer

_NAME = "durable_commit"
GROUP = 64
WRITER_COUNTS = (1, GROUP)
# The raw rows are newer than all commits, and of other documents.
_RAW_TS = 1 << 62
_RAW_NUMBER = 1 << 32
_GROUPED_NUMBER = 1 << 40

# From the number of documents to what is measured; what comes before the run costs nothing.
Peer = Callable[[int], Callable[[], Awaitable[None]]]


async def measure(plan: EnginePlan) -> list[Measurement]:
    """Commits per second and CPU time of each, on SQLite and on Postgres."""
    return [*await _measure_sqlite(plan), *await _measure_postgres(plan)]


async def _measure_sqlite(plan: EnginePlan) -> list[Measurement]:
    measurements: list[Measurement] = []
    with TemporaryDirectory(prefix="fenchel-bench-") as folder:
        raw_directory = Path(folder) / "raw"
        await SqlitePersistence.open(raw_directory).close()
        async with opened(SqlitePersistence.open(Path(folder))) as database:
            with raw_sqlite(raw_directory / "fenchel.sqlite3") as raw:
                for count in WRITER_COUNTS:
                    peers = {
                        "fenchel": committing(database, count),
                        "raw": raw_sqlite_peer(raw, batches_of(database, count), count),
                    }
                    measurements += await measure_prepared(
                        plan, f"durable_commit.sqlite.w{count}", peers
                    )
                group = {**peers, "fenchel": _committing_groups(database)}
                measurements += await measure_prepared(
                    plan, f"durable_commit.sqlite.group{GROUP}", group
                )
    return measurements


async def _measure_postgres(plan: EnginePlan) -> list[Measurement]:
    measurements: list[Measurement] = []
    server = PostgresServer()
    try:
        server.start()
        persistence = await PostgresPersistence.open(await server.empty_database(), Runtime())
        async with opened(persistence) as database:
            raw = await asyncpg.connect(server.url())
            for count in WRITER_COUNTS:
                peers = {
                    "fenchel": committing(database, count),
                    "raw": _raw_postgres_peer(raw, batches_of(database, count), count),
                }
                measurements += await measure_prepared(
                    plan, f"durable_commit.postgres.w{count}", peers
                )
            group = {**peers, "fenchel": _committing_groups(database)}
            measurements += await measure_prepared(
                plan, f"durable_commit.postgres.group{GROUP}", group
            )
            await raw.close()
    finally:
        server.remove()
    return measurements


@asynccontextmanager
async def opened(persistence: Persistence) -> AsyncIterator[Database]:
    """A database with the table and its index; a document makes the table."""
    database = await Database.open(persistence, Runtime())
    try:
        await push(database, SCHEMA)
        await insert(database, TABLE, {"group": -1.0})
        yield database
    finally:
        await database.close()


async def measure_prepared(
    plan: EnginePlan, name: str, peers: dict[str, Peer]
) -> list[Measurement]:
    """The best of rounds that take turns, after one that does not count: what else runs on the
    machine only makes them worse."""
    rates: dict[str, list[float]] = {peer: [] for peer in peers}
    costs: dict[str, list[float]] = {peer: [] for peer in peers}
    for number in range(plan.rounds + 1):
        for peer, prepare in peers.items():
            run = prepare(plan.operations)
            began, cpu_began = time.perf_counter(), time.process_time()
            await run()
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
            if number > 0:
                rates[peer].append(plan.operations / seconds)
                costs[peer].append(cpu / plan.operations * 1e6)
    return [
        Measurement(name=f"{name}.{figure}", value=best(found[peer]), unit=unit, peer=peer)
        for figure, unit, best, found in (
            ("per_second", "1/s", max, rates),
            ("cpu", "µs", min, costs),
        )
        for peer in peers
    ]


def committing(database: Database, writer_count: int) -> Peer:
    """So many writers, each of which inserts and commits one document after the other."""

    async def write(numbers: Sequence[int]) -> None:
        for number in numbers:
            tx = database.begin()
            await tx.user().insert(TABLE, row_value(number))
            await database.commit(tx)

    def prepare(count: int) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                for place in range(writer_count):
                    numbers = range(place, count, writer_count)
                    group.create_task(write(numbers), name=f"writer {place}")

        return run

    return prepare


def _committing_groups(database: Database) -> Peer:
    """Commits of transactions that have inserted their document already, a group at a time."""

    numbers = itertools.count(_GROUPED_NUMBER)

    def prepare(count: int) -> Callable[[], Awaitable[None]]:
        groups = [
            [_made(database, number) for number in itertools.islice(numbers, GROUP)]
            for _ in range(count // GROUP)
        ]

        async def run() -> None:
            for group in groups:
                await asyncio.gather(*(database.commit(tx) for tx in group))

        return run

    return prepare


def _made(database: Database, number: int) -> Transaction:
    tx = database.begin()
    table = tx.find_table(ROOT, TABLE)
    assert table is not None
    document = row_document(table, number)
    tx.insert_document(table, document.internal_id, dict(document.value))
    return tx


def batches_of(database: Database, size: int) -> Callable[[], WriteBatch]:
    """Each call gives the rows that a group commit of `size` new documents would write."""
    table = database.metadata.root_table(TABLE)
    numbers = itertools.count(_RAW_NUMBER * size)

    def next_batch() -> WriteBatch:
        tx = database.begin()
        chosen = list(itertools.islice(numbers, size))
        for number in chosen:
            document = row_document(table, number)
            tx.insert_document(table, document.internal_id, dict(document.value))
        prepared = prepare_commit(tx, None)
        ts = Timestamp(_RAW_TS + chosen[0])
        return WriteBatch(
            documents=prepared.document_rows(ts),
            index_rows=prepared.index_rows(ts),
            summaries=[SummaryRow(table.tablet_id, 1, 1)],
        )

    return next_batch


def raw_sqlite_peer(raw: apsw.Connection, next_batch: Callable[[], WriteBatch], size: int) -> Peer:
    def prepare(count: int) -> Callable[[], Awaitable[None]]:
        batches = [_sqlite_rows(next_batch()) for _ in range(count // size)]

        async def run() -> None:
            for documents, index_rows, summaries in batches:
                raw.execute("BEGIN IMMEDIATE")
                raw.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", documents)
                raw.executemany("INSERT INTO indexes VALUES (?, ?, ?, ?, ?, ?)", index_rows)
                raw.executemany("REPLACE INTO table_summaries VALUES (?, ?, ?)", summaries)
                raw.execute("COMMIT")

        return run

    return prepare


def _sqlite_rows(batch: WriteBatch) -> tuple[list[Any], list[Any], list[Any]]:
    documents = [
        (ts, tablet_id, internal_id, d.value_json, 0, prev_ts, d.size_bytes, d.creation_time)
        for ts, tablet_id, internal_id, d, prev_ts in batch.documents
        if d is not None
    ]
    return documents, [tuple(row) for row in batch.index_rows], list(batch.summaries)


def _raw_postgres_peer(raw: Any, next_batch: Callable[[], WriteBatch], size: int) -> Peer:
    """One statement and one round trip for each batch, as the persistence has it."""

    def prepare(count: int) -> Callable[[], Awaitable[None]]:
        batches = [
            arguments
            for _ in range(count // size)
            for arguments in postgres_layout.split_batch(next_batch())
        ]

        async def run() -> None:
            epoch = await raw.fetchval("SELECT epoch FROM fenchel.lease")
            for arguments in batches:
                assert await raw.fetchval(postgres_layout.WRITE_BATCH, epoch, *arguments) == 1

        return run

    return prepare
