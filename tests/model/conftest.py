"""A database in memory for the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fenchel.database import Database
from fenchel.model import VIRTUAL_TABLES
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    database = await Database.open(MemoryPersistence(), Runtime(), VIRTUAL_TABLES)
    yield database
    await database.close()
