"""A full disk: what SQLite rolled back is refused, and the database goes on."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from fenchel.database import Database
from fenchel.errors import ErrorKind
from fenchel.persistence import NotStoredError, SqlitePersistence, WriteBatch
from fenchel.persistence.sqlite_persistence import _SELECT_DELETION, _is_surely_not_stored
from fenchel.runtime import Runtime
from tests.database.helpers import insert, query, scan

_CHILD = Path(__file__).with_name("full_disk_child.py")
_LARGE = "x" * 900_000


@contextmanager
def full_disk(data_directory: Path) -> Iterator[None]:
    """No file of this process may grow beyond the size that the write-ahead log has now."""
    size = (data_directory / "fenchel.sqlite3-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_refused_commit_fails_alone_and_the_database_goes_on(tmp_path: Path) -> None:
    database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    await insert(database, "items", {"n": 1.0})
    before = database.latest_ts()
    with full_disk(tmp_path):
        for _ in range(3):
            with pytest.raises(NotStoredError) as caught:
                await insert(database, "items", {"n": 2.0, "text": _LARGE})
    assert caught.value.kind is ErrorKind.OVERLOADED
    assert "DataNotStored" in str(caught.value)
    assert database.latest_ts() == before
    assert await query(database.begin(), scan("items")) == [1.0]
    await insert(database, "items", {"n": 3.0})
    database.check_invariants()
    await database.close()
    reopened = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    assert await query(reopened.begin(), scan("items")) == [1.0, 3.0]
    assert await reopened.begin().user().count("items") == 2
    await reopened.close()


async def test_a_refused_commit_stays_away_after_sigkill(tmp_path: Path) -> None:
    """The frames that were written before the disk was full must not come back."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(_CHILD), str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"refused\n"
    child.kill()
    await child.wait()
    database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    assert await query(database.begin(), scan("items")) == [1.0]
    await database.close()


async def test_a_database_at_its_size_limit_refuses(tmp_path: Path) -> None:
    persistence = SqlitePersistence.open(tmp_path)
    persistence._writer.execute("PRAGMA max_page_count = 12")
    with pytest.raises(NotStoredError, match="full"):
        await persistence.write(WriteBatch(global_values={"key": "x" * 100_000}))
    assert await persistence.load_globals() == {}
    await persistence.write(WriteBatch(global_values={"key": "small"}))
    assert await persistence.load_globals() == {"key": "small"}
    await persistence.close()


async def test_data_of_an_older_version_learns_its_deletions(tmp_path: Path) -> None:
    database = await Database.open(SqlitePersistence.open(tmp_path), Runtime())
    (id_text,) = await insert(database, "items", {"n": 1.0})
    tx = database.begin()
    deleted = await tx.user().delete(id_text)
    await database.commit(tx)
    await database.close()
    connection = apsw.Connection(str(tmp_path / "fenchel.sqlite3"))
    connection.execute("DROP INDEX deletions")
    connection.close()
    persistence = SqlitePersistence.open(tmp_path)
    assert await persistence.was_deleted(deleted.tablet_id, deleted.internal_id)
    plan = persistence._reader.execute(
        f"EXPLAIN QUERY PLAN {_SELECT_DELETION}", (b"", b"")
    ).fetchall()
    assert "deletions" in str(plan)
    await persistence.close()


def test_a_failed_sync_leaves_the_outcome_unknown() -> None:
    failed_sync = apsw.IOError("fsync")
    failed_sync.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
    assert not _is_surely_not_stored(failed_sync, True)
    assert _is_surely_not_stored(failed_sync, False)
    assert not _is_surely_not_stored(apsw.ConstraintError("twice"), False)
    assert not _is_surely_not_stored(ValueError("a bug"), False)
