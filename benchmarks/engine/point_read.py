"""What does a get by id cost, and a query for the 20 rows of a group? Raw: the same by apsw.

Cached: the documents were read or written lately. Fenchel's figures hold a transaction with its
read set; `x100` are gets of one transaction, as a function that loops does them.
"""

# Estimate, all CPU, one core, 100,000 rows of 200 bytes in the page cache:
#   raw      a get walks one tree, 3 µs; a range of 20 looks each row up by its key, 15 to 20 µs
#   get      begin 2 µs, decode and check the id 4 µs, read set 4 µs, cached revision 1 µs,
#            awaiting three layers 2 µs: 10 to 15 µs; not cached two trees more, 10 µs
#   range    parse and plan 15 µs, one index walk 25 µs, 20 cached documents 10 µs, read set 5 µs;
#            not cached 20 look-ups more, 60 µs

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw

from benchmarks.engine.plan import EnginePlan, Work, compare
from benchmarks.engine.rows import (
    GROUP_ROWS,
    TABLE,
    fill,
    fill_raw,
    group_query,
    internal_id,
    raw_sqlite,
)
from benchmarks.rounds import Measurement
from fenchel.database import Database
from fenchel.documents import encode_document_id
from fenchel.persistence import SqlitePersistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings, TransactionLimits

_HOT_ROWS = 1_000
_GETS_PER_TRANSACTION = 100


async def measure(plan: EnginePlan) -> list[Measurement]:
    """CPU time of gets and ranges, with a warm cache and without a cache."""
    measurements: list[Measurement] = []
    with TemporaryDirectory(prefix="fenchel-bench-") as folder:
        directory = Path(folder)
        async with opened(directory, DatabaseSettings()) as database:
            table = await fill(database, plan.document_count)
            with raw_sqlite(directory / "raw.sqlite3") as raw:
                fill_raw(raw, table, plan.document_count)
        for name, cache_bytes in (("cached", 128 << 20), ("uncached", 0)):
            settings = replace(
                DatabaseSettings(),
                document_cache_bytes_max=cache_bytes,
                latest_documents_bytes_max=cache_bytes,
            )
            async with opened(directory, settings) as database:
                with raw_sqlite(directory / "raw.sqlite3") as raw:
                    measurements += await _measure(plan, name, database, raw)
    return measurements


@asynccontextmanager
async def opened(directory: Path, settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database of the directory, without limits on what a transaction reads."""
    limits = TransactionLimits(documents_read_max=10**9, bytes_read_max=10**12)
    runtime = Runtime(settings=Settings(database=settings, transaction=limits))
    database = await Database.open(SqlitePersistence.open(directory, settings), runtime)
    try:
        yield database
    finally:
        await database.close()


async def _measure(
    plan: EnginePlan, name: str, database: Database, raw: apsw.Connection
) -> list[Measurement]:
    hot = range(min(_HOT_ROWS, plan.document_count))
    gets = {"fenchel": gets_of(database, hot), "raw": _raw_gets_of(raw, hot)}
    loops = {"fenchel": _loops_of(database, hot), "raw": _raw_gets_of(raw, hot)}
    ranges = {"fenchel": ranges_of(database, hot), "raw": _raw_ranges_of(raw, hot)}
    return [
        *await compare(plan, f"point_read.get.{name}", gets),
        *await compare(plan, f"point_read.get_x{_GETS_PER_TRANSACTION}.{name}", loops),
        *await compare(plan, f"point_read.range_{GROUP_ROWS}.{name}", ranges),
    ]


def gets_of(database: Database, rows: Sequence[int]) -> Work:
    """A transaction for each get of a random one among these rows."""
    ids = _ids(database, rows)
    source = random.Random(1)

    async def work(count: int) -> None:
        for id_text in source.choices(ids, k=count):
            assert await database.begin().user().get(id_text) is not None

    return work


def _loops_of(database: Database, rows: Sequence[int]) -> Work:
    ids = _ids(database, rows)
    source = random.Random(1)

    async def work(count: int) -> None:
        for _ in range(count // _GETS_PER_TRANSACTION):
            user = database.begin().user()
            for id_text in source.sample(ids, _GETS_PER_TRANSACTION):
                assert await user.get(id_text) is not None

    return work


def _ids(database: Database, rows: Sequence[int]) -> list[str]:
    number = database.metadata.root_table(TABLE).number
    return [encode_document_id(number, internal_id(row)) for row in rows]


def _raw_gets_of(raw: apsw.Connection, rows: Sequence[int]) -> Work:
    ids = [internal_id(row) for row in rows]
    source = random.Random(1)

    async def work(count: int) -> None:
        for chosen in source.choices(ids, k=count):
            rows = raw.execute("SELECT json FROM rows WHERE id = ?", (chosen,)).fetchall()
            assert len(rows) == 1

    return work


def ranges_of(database: Database, rows: Sequence[int]) -> Work:
    """A transaction for each query of the group of a random one among these rows."""
    source = random.Random(2)

    async def work(count: int) -> None:
        for _ in range(count):
            query = group_query(source.choice(rows) // GROUP_ROWS)
            stream = database.begin().user().open_stream(query)
            page = await stream.fetch_page()
            stream.record_consumed(len(page.documents), True)
            assert len(page.documents) == GROUP_ROWS

    return work


def _raw_ranges_of(raw: apsw.Connection, rows: Sequence[int]) -> Work:
    source = random.Random(2)
    statement = 'SELECT json FROM rows WHERE "group" = ? ORDER BY creation_time'

    async def work(count: int) -> None:
        for _ in range(count):
            group = float(source.choice(rows) // GROUP_ROWS)
            assert len(raw.execute(statement, (group,)).fetchall()) == GROUP_ROWS

    return work
