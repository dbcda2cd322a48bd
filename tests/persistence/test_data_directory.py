"""One process per data directory, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from fenchel.errors import FenchelError
from fenchel.persistence import SqlitePersistence


async def test_a_second_holder_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    first = SqlitePersistence.open(tmp_path)
    with pytest.raises(FenchelError) as caught:
        SqlitePersistence.open(tmp_path)
    assert caught.value.code == "DataDirectoryLocked"
    assert str(tmp_path) in caught.value.message
    await first.close()
    await SqlitePersistence.open(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FenchelError) as caught:
        SqlitePersistence.open(tmp_path / "file" / "data")
    assert caught.value.code == "DataDirectoryNotWritable"


def test_a_file_that_is_no_database_is_reported_and_unlocked(tmp_path: Path) -> None:
    (tmp_path / "fenchel.sqlite3").write_text("not a database, and long enough to be read" * 99)
    for _ in range(2):
        with pytest.raises(FenchelError) as caught:
            SqlitePersistence.open(tmp_path)
        assert caught.value.code == "DataDirectoryNotWritable"


def test_a_layout_of_the_future_is_refused(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "fenchel.sqlite3"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FenchelError) as caught:
        SqlitePersistence.open(tmp_path)
    assert caught.value.code == "DataDirectoryTooNew"
