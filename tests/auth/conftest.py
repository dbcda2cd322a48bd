from collections.abc import AsyncIterator

import pytest

from fenchel.auth import HttpDocuments
from tests.auth.providers import ManualClock, Provider


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = await Provider.start()
    yield provider
    await provider.server.close()


@pytest.fixture
async def documents(clock: ManualClock) -> AsyncIterator[HttpDocuments]:
    async with HttpDocuments(clock) as documents:
        yield documents
