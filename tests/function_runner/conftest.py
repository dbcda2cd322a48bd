"""One running app for all tests of a module: starting workers costs more than most tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.function_runner.harness import App, running_app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[App]:
    async with running_app() as running:
        yield running
