"""A database per test, over every persistence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fenchel.database import Database, schema_validator
from fenchel.database.background import walk_table
from fenchel.database.metadata import Table
from fenchel.persistence import MemoryPersistence, Persistence, SqlitePersistence
from fenchel.runtime import Runtime


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
async def database(runtime: Runtime) -> AsyncIterator[Database]:
    """Over memory."""
    opened = await Database.open(MemoryPersistence(), runtime)
    yield opened
    opened.check_invariants()
    await opened.close()


@pytest.fixture(params=["memory", "sqlite"])
async def any_database(
    request: pytest.FixtureRequest, tmp_path: Path, runtime: Runtime
) -> AsyncIterator[Database]:
    """Over memory, then over SQLite."""
    persistence: Persistence = MemoryPersistence()
    if request.param == "sqlite":
        persistence = SqlitePersistence.open(tmp_path)
    opened = await Database.open(persistence, runtime)
    yield opened
    opened.check_invariants()
    await opened.close()


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tables that the worker walks."""
    names: list[str] = []

    def note(database: Database, table: Table) -> AsyncIterator[Any]:
        names.append(table.name)
        return walk_table(database, table)

    monkeypatch.setattr(schema_validator, "walk_table", note)
    return names
