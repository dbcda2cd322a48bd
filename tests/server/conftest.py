from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.server.fakes import Edge, open_edge


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with open_edge() as opened:
        yield opened
