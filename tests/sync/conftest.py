"""Connections that several test files need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.sync.client import Client, open_client


@pytest.fixture
async def clients() -> AsyncIterator[list[Client]]:
    """Five clients of one server, whose queries paginate nothing."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_client())
        first.backend.journal = None
        others = [await stack.enter_async_context(open_client(shares_with=first)) for _ in range(4)]
        yield [first, *others]
