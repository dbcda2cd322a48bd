"""What a transaction used: by table, after rollbacks, and of files."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fenchel.database import Database, Transaction, TransactionUsage
from fenchel.errors import FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await Database.open(MemoryPersistence(), Runtime())
    yield opened
    await opened.close()


def by_name(tx: Transaction, *, written: bool = False) -> dict[str, int]:
    """Documents by table."""
    counts = tx.usage.written_by_table if written else tx.usage.read_by_table
    names = {tablet_id: tx.table_name(tablet_id) for tablet_id in counts}
    return {name[1]: counts[id][0] for id, name in names.items() if name is not None}


def check_sums(usage: TransactionUsage) -> None:
    read, written = usage.read_by_table.values(), usage.written_by_table.values()
    assert [sum(column) for column in zip(*read, strict=True)] == [
        usage.documents_read,
        usage.bytes_read,
    ]
    assert [sum(column) for column in zip(*written, strict=True)] == [
        usage.documents_written,
        usage.bytes_written,
    ]


async def test_each_table_has_its_part(database: Database) -> None:
    tx = database.begin()
    tables = tx.user()
    ids = [await tables.insert(name, {"a": "b" * len(name)}) for name in ("t", "t", "users")]
    await tables.patch(ids[0], {"a": 1.0})
    await tables.get(ids[2])
    await tables.get(ids[2])
    await tables.delete(ids[1])
    stream = tables.open_stream(
        {"source": {"type": "FullTableScan", "tableName": "t", "order": None}, "operators": []}
    )
    assert await stream.next() is not None
    assert await stream.next() is None
    assert by_name(tx) == {"t": 3, "users": 2}
    assert by_name(tx, written=True) == {"t": 4, "users": 1}
    check_sums(tx.usage)


async def test_a_rollback_restores_what_was_written_and_not_what_was_read(
    database: Database,
) -> None:
    tx = database.begin()
    kept = await tx.user().insert("t", {})
    tx.usage.record_file_write(3)
    tx.begin_subtransaction()
    await tx.user().insert("t", {})
    await tx.user().insert("u", {})
    await tx.user().get(kept)
    tx.usage.record_file_write(4)
    tx.rollback_subtransaction()
    assert (by_name(tx), by_name(tx, written=True)) == ({"t": 1}, {"t": 1})
    assert (tx.usage.files_written, tx.usage.file_bytes_written) == (1, 3)
    check_sums(tx.usage)


async def test_what_is_missing_counts_nowhere(database: Database) -> None:
    tx = database.begin()
    id = await tx.user().insert("t", {})
    await tx.user().delete(id)
    read = tx.usage.documents_read
    assert await tx.user().get(id) is None
    assert tx.usage.documents_read == read
    check_sums(tx.usage)


@pytest.mark.parametrize(
    ("size_bytes", "count", "code"),
    [(1, 101, "TooManyFiles"), (8 << 20, 3, "TooManyFileBytes")],
)
async def test_files_are_limited(
    database: Database, size_bytes: int, count: int, code: str
) -> None:
    usage = database.begin().usage
    for record, verb in ((usage.record_file_read, "Read"), (usage.record_file_write, "Written")):
        for _ in range(count - 1):
            record(size_bytes)
        with pytest.raises(FenchelError, match=f"{code}{verb}"):
            record(size_bytes)
