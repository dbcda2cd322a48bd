"""The same documents for everybody: in a Fenchel database, and in a table of plain SQLite.

Some 200 bytes each, twenty of a group, found by id and by group. They are written past the
transactions, so that millions take minutes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from fenchel.database import Database
from fenchel.database.metadata import IndexKind, Table
from fenchel.database.write_set import index_key
from fenchel.documents import Document, InternalId, Timestamp, encode_document_id
from fenchel.persistence import DocumentRow, IndexRow, SummaryRow, WriteBatch
from fenchel.values import Value
from tests.database.helpers import index_range, insert, push, schema

TABLE = "rows"
GROUP_ROWS = 20
SCHEMA = schema({TABLE: {"indexes": {"by_group": ["group"]}}}, validation=False)
_BATCH = 5_000

RAW_LAYOUT = """
CREATE TABLE rows (id BLOB PRIMARY KEY, creation_time REAL, "group" REAL, json TEXT) WITHOUT ROWID;
CREATE INDEX by_creation_time ON rows (creation_time);
CREATE INDEX by_group ON rows ("group", creation_time);
"""


def internal_id(number: int) -> InternalId:
    """As the database draws them: random, but the same in each run."""
    return InternalId(random.Random(number).randbytes(16))


def row_value(number: int) -> dict[str, Value]:
    """What the developer stores."""
    return {"group": float(number // GROUP_ROWS), "number": float(number), "text": "x" * 100}


def group_query(group: int) -> dict[str, object]:
    """The twenty rows of a group, as the client's query builder asks for them."""
    return index_range(f"{TABLE}.by_group", ("group", "Eq", float(group)))


async def fill(database: Database, count: int, *, name: str = TABLE) -> Table:
    """Let the table hold `count` rows, and the two that make it. Its indexes are enabled."""
    if name == TABLE:
        await push(database, SCHEMA)
    await insert(database, name, {"group": -1.0, "number": -1.0, "text": ""})
    table = database.metadata.root_table(name)
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        await database.persistence.write(_batch(database, table, numbers))
    summary = SummaryRow(table.tablet_id, count + 1, 200 * count)
    await database.persistence.write(WriteBatch(summaries=[summary]))
    return table


def row_document(table: Table, number: int) -> Document:
    chosen = internal_id(number)
    value: dict[str, Value] = {
        **row_value(number),
        "_id": encode_document_id(table.number, chosen),
        "_creationTime": 1_700_000_000_000.0 + number,
    }
    return Document.create(table.tablet_id, table.number, chosen, value)


def _batch(database: Database, table: Table, numbers: range) -> WriteBatch:
    ts = Timestamp(1_000 + numbers[0])
    documents = [row_document(table, number) for number in numbers]
    return WriteBatch(
        documents=[DocumentRow(ts, d.tablet_id, d.internal_id, d, None) for d in documents],
        index_rows=[
            IndexRow(index.index_id, index_key(index, d), ts, False, d.tablet_id, d.internal_id)
            for index in database.metadata.indexes[table.tablet_id]
            if index.kind is IndexKind.DATABASE
            for d in documents
        ],
    )


@contextmanager
def raw_sqlite(path: Path) -> Iterator[apsw.Connection]:
    """A plain database with the settings that Fenchel's has."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    try:
        yield connection
    finally:
        connection.close()


def raw_row(table: Table, number: int) -> tuple[bytes, float, float, str]:
    """Bindings of one row of `RAW_LAYOUT`."""
    document = row_document(table, number)
    group = float(number // GROUP_ROWS)
    return document.internal_id, document.creation_time, group, document.value_json


def fill_raw(connection: apsw.Connection, table: Table, count: int) -> None:
    connection.execute(RAW_LAYOUT)
    with connection:
        rows = (raw_row(table, number) for number in range(count))
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
