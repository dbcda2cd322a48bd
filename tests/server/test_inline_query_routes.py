"""Queries whose source comes with the request, to a whole backend (deploy-protocol 3.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from fenchel.server import Backend
from fenchel.testing import running_backend

PREAMBLE = 'import { query, internalQuery } from "convex:/_system/repl/wrappers.js";\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend() -> AsyncIterator[Backend]:
    """Nothing is deployed to it."""
    async with running_backend() as running:
        yield running


async def run(backend: Backend, source: str, **fields: Any) -> tuple[int, Any]:
    body = {
        "adminKey": backend.admin_key,
        "args": {},
        "format": "convex_encoded_json",
        "bundle": {"path": "testQuery.js", "source": PREAMBLE + source},
        **fields,
    }
    url = backend.url + "/api/run_test_function"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status, await response.json()


@pytest.mark.asyncio(loop_scope="module")
class TestInlineQueries:
    async def test_public_and_internal_queries_get_their_arguments(self, backend: Backend) -> None:
        for builder in ("query", "internalQuery"):
            source = f"export default {builder}({{ handler: async (ctx, args) => args }})"
            status, body = await run(backend, source, args={"a": 1}, componentId=None)
            assert (status, body) == (200, {"status": "success", "value": {"a": 1.0}})

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("export default query(async (ctx) => ctx.db.insert('x', {}))", "not a function"),
            ("export default query", "no default export that is a query"),
            ("throw new Error('at import')", "Uncaught Error: at import"),
            ("for (;;);", "timed out"),
        ],
    )
    async def test_a_failing_query_is_an_answer(
        self, backend: Backend, source: str, text: str
    ) -> None:
        status, body = await run(backend, source)
        assert (status, body["status"]) == (200, "error")
        assert text in body["errorMessage"]

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("export default query(", "Unexpected end of file"),
            ("import './nowhere.js'", "Could not resolve"),
            ("import '../../../../etc/passwd'", "passwd, which was not"),
            ("import { mutation } from 'convex:/_system/repl/wrappers.js'", "mutation"),
            ("await 1; export default query(() => 1)", "Top-level await"),
        ],
    )
    async def test_a_source_that_does_not_compile_says_where(
        self, backend: Backend, source: str, text: str
    ) -> None:
        status, body = await run(backend, source)
        assert (status, body["code"]) == (400, "InvalidInlineQuery")
        assert text in body["message"]
        assert "root:" not in body["message"]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"adminKey": None}, (403, "BadDeployKey")),
            ({"adminKey": "wrong"}, (401, "BadAdminKey")),
            ({"componentId": "none"}, (400, "ComponentNotFound")),
            ({"bundle": {"path": "../a", "source": ""}}, (400, "BadConvexModuleIdentifier")),
            ({"bundle": "text"}, (400, "BadJsonBody")),
        ],
    )
    async def test_requests_that_are_refused(
        self, backend: Backend, fields: dict[str, Any], expected: tuple[int, str]
    ) -> None:
        status, body = await run(backend, "export default query(() => 1)", **fields)
        assert (status, body["code"]) == expected
