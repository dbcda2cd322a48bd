"""The same documents for everybody: in a Fenchel database, and in a table of plain SQLite.

Some 200 bytes each, twenty of a group, found by id and by group. They are written past the
transactions, so that millions take minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from fenchel.database import Database
from fenchel.database.metadata import Table
from fenchel.database.write_set import index_key
from fenchel.documents import Document, InternalId, Timestamp, encode_document_id
from fenchel.persistence import DocumentRow, IndexRow, SummaryRow, WriteBatch
from fenchel.values import Value, encode_sort_key
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
    """As if the database had drawn it, but the same in each run."""
    return InternalId(hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest())


def row_value(number: int) -> dict[str, Value]:
    """What the developer stores."""
    return {"group": float(number // GROUP_ROWS), "number": float(number), "text": "x" * 100}


def group_query(group: int) -> dict[str, object]:
    """The twenty rows of a group, as the client's query builder asks for them."""
    return index_range(f"{TABLE}.by_group", ("group", "Eq", float(group)))


async def fill(database: Database, count: int, *, name: str = TABLE) -> Table:
    """Let the table hold `count` rows, and the two that make it. Its indexes are enabled.

    Each index is written in its own order: random ids would touch every page of a large one again
    and again.
    """
    if name == TABLE:
        await push(database, SCHEMA)
    await insert(database, name, {"group": -1.0, "number": -1.0, "text": ""})
    table = database.metadata.root_table(name)
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        await database.persistence.write(_batch(database, table, numbers))
    ordered = sorted(internal_id(number) + number.to_bytes(8, "big") for number in range(count))
    for first in range(0, count, _BATCH):
        rows = _id_entries(database, table, ordered[first : first + _BATCH])
        await database.persistence.write(WriteBatch(index_rows=rows))
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
    """Documents, and their entries in the indexes that are not by id."""
    ts = _row_ts(numbers[0])
    documents = [row_document(table, number) for number in numbers]
    return WriteBatch(
        documents=[DocumentRow(ts, d.tablet_id, d.internal_id, d, None) for d in documents],
        index_rows=[
            IndexRow(index.index_id, index_key(index, d), ts, False, d.tablet_id, d.internal_id)
            for index in database.metadata.database_indexes(table.tablet_id)
            if index.fields
            for d in documents
        ],
    )


def _id_entries(database: Database, table: Table, ordered: Sequence[bytes]) -> list[IndexRow]:
    """Of some of the ids with their numbers, in the order of the index."""
    index_id = database.metadata.by_id_index(table.tablet_id).index_id
    rows = []
    for id_and_number in ordered:
        chosen, number = id_and_number[:16], int.from_bytes(id_and_number[16:], "big")
        key = encode_sort_key(encode_document_id(table.number, chosen))
        ts = _row_ts(number - number % _BATCH)
        rows.append(IndexRow(index_id, key, ts, False, table.tablet_id, chosen))
    return rows


def _row_ts(first_number: int) -> Timestamp:
    """Of the rows of the batch that begins with that one."""
    return Timestamp(1_000 + first_number)


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
