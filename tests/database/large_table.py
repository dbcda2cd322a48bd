"""A table with many documents, written past the database: for what must not depend on its size.

Run as a program with a directory it opens the database there and prints what that took.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from pathlib import Path

from fenchel.database import Database
from fenchel.database.metadata import Table
from fenchel.database.write_set import index_key
from fenchel.documents import Document, InternalId, Timestamp, encode_document_id
from fenchel.persistence import DocumentRow, IndexRow, SqlitePersistence, SummaryRow, WriteBatch
from fenchel.runtime import Runtime
from fenchel.values import Value
from tests.database.helpers import insert

TABLE = "large"
_BATCH = 5_000
_GETS = 2_000


async def fill(directory: Path, count: int) -> None:
    """`count` documents of some 200 bytes, with all index entries, at timestamps of the past."""
    persistence = SqlitePersistence.open(directory)
    database = await Database.open(persistence, Runtime())
    await insert(database, TABLE, {"n": -1.0})
    await insert(database, "small", {"n": 1.0})
    table = database.metadata.root_table(TABLE)
    for first in range(0, count, _BATCH):
        await persistence.write(_batch(database, table, first, min(_BATCH, count - first)))
    await persistence.write(WriteBatch(summaries=[SummaryRow(table.tablet_id, count + 1, count)]))
    await database.close()


def _batch(database: Database, table: Table, first: int, count: int) -> WriteBatch:
    ts = Timestamp(1_000 + first)
    documents = [_document(table, number) for number in range(first, first + count)]
    return WriteBatch(
        documents=[DocumentRow(ts, d.tablet_id, d.internal_id, d, None) for d in documents],
        index_rows=[
            IndexRow(index.index_id, index_key(index, d), ts, False, d.tablet_id, d.internal_id)
            for index in database.metadata.indexes[table.tablet_id]
            for d in documents
        ],
    )


def internal_id(number: int) -> InternalId:
    return InternalId(random.Random(number).randbytes(16))


def _document(table: Table, number: int) -> Document:
    chosen = internal_id(number)
    value: dict[str, Value] = {
        "_id": encode_document_id(table.number, chosen),
        "_creationTime": 1_700_000_000_000.0 + number,
        "n": float(number),
        "text": "x" * 100,
    }
    return Document.create(table.tablet_id, table.number, chosen, value)


async def measure(directory: Path) -> dict[str, float]:
    """Seconds until open, resident MiB then, µs of a get, and resident MiB after all of them."""
    began = time.perf_counter()
    database = await Database.open(SqlitePersistence.open(directory), Runtime())
    open_seconds = time.perf_counter() - began
    open_mebibytes = _resident_mebibytes()
    tx = database.begin()
    count = await tx.user().count(TABLE)
    number = tx.metadata.root_table(TABLE).number
    chooser = random.Random(7)
    began = time.perf_counter()
    for _ in range(_GETS):
        chosen = internal_id(chooser.randrange(count - 1))
        tx = database.begin()
        assert await tx.user().get(encode_document_id(number, chosen)) is not None
    get_microseconds = (time.perf_counter() - began) / _GETS * 1e6
    await database.close()
    return {
        "documents": count,
        "open_seconds": round(open_seconds, 4),
        "open_mebibytes": open_mebibytes,
        "get_microseconds": round(get_microseconds, 1),
        "mebibytes": _resident_mebibytes(),
    }


def _resident_mebibytes() -> int:
    """The most that this program had; `getrusage` would count the parent before `exec`, too."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) >> 10


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1])))))
