"""A database in memory for the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fenchel.database import Database
from fenchel.model import SCHEDULED_FUNCTIONS_VIEW
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    database = await Database.open(MemoryPersistence(), Runtime(), [SCHEDULED_FUNCTIONS_VIEW])
    yield database
    await database.close()
