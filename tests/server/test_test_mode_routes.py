"""The endpoints of test mode, in front of a whole backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from fenchel.server import Backend
from fenchel.testing import running_backend

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[Backend]:
    """In test mode, for all tests of this file."""
    async with running_backend() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def in_earnest() -> AsyncIterator[Backend]:
    """Not in test mode."""
    async with running_backend(test_mode=False) as running:
        yield running


async def post(
    backend: Backend, path: str, body: Any = None, *, key: str | None = None
) -> tuple[int, Any]:
    headers = {"Authorization": f"Convex {key or backend.admin_key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(backend.url + path, json=body or {}, headers=headers) as response,
    ):
        text = await response.text()
        return response.status, (await response.json()) if text else None


async def test_the_clock_moves_and_data_goes(backend: Backend) -> None:
    before = backend.application.latest_ts() // 1_000_000
    status, body = await post(backend, "/_test/clock", {"advanceMs": 3_600_000})
    assert status == 200
    assert 3_600_000 <= body["nowMs"] - before < 3_700_000
    assert await post(backend, "/_test/reset") == (200, None)
    await backend.advance_clock(60)
    await backend.reset()


@pytest.mark.parametrize("path", ["/_test/clock", "/_test/reset"])
async def test_only_the_admin_of_a_server_in_test_mode_may(
    backend: Backend, in_earnest: Backend, path: str
) -> None:
    status, body = await post(backend, path, {"advanceMs": 1}, key="test-instance|00")
    assert (status, body["code"]) == (401, "BadAdminKey")
    status, body = await post(in_earnest, path, {"advanceMs": 1})
    assert (status, body["code"]) == (400, "TestModeOff")
    assert "--test-mode" in body["message"]


@pytest.mark.parametrize("body", [{}, {"advanceMs": "1"}, {"advanceMs": -1}])
async def test_a_body_that_makes_no_sense(backend: Backend, body: Any) -> None:
    assert (await post(backend, "/_test/clock", body))[0] == 400
