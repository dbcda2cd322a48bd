"""What functions used, for admins and for Prometheus."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fenchel.application import UsageTracker
from fenchel.database import Database
from fenchel.model import VIRTUAL_TABLES
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.server.usage_routes import UsageCollector, UsageHandlers
from fenchel.udf import FunctionResult, UdfOutcome
from tests.server.fakes import ADMIN, open_edge

KEY = ("", "messages:list", "Query")


@pytest.fixture
async def usage() -> AsyncIterator[UsageTracker]:
    runtime = Runtime()
    database = await Database.open(MemoryPersistence(), runtime, VIRTUAL_TABLES)
    tracker = UsageTracker(database, runtime)
    outcome = UdfOutcome(result=FunctionResult("null"), user_seconds=0.5)
    tracker.record_run(KEY, outcome, None, seconds=1.0, is_final=True)
    yield tracker
    await database.close()


async def test_admins_see_what_was_used_until_now(usage: UsageTracker) -> None:
    async with open_edge(
        more_routes=lambda auth: [UsageHandlers(usage=usage, authenticator=auth).routes]
    ) as edge:
        status, text = await edge.get("/api/usage", headers=ADMIN)
        assert status == 200
        (row,) = json.loads(text)["rows"]
        assert (row["function"], row["usage"]["calls"]) == ("messages:list", 1)
        status, text = await edge.get("/api/usage?from=2020-01-01&through=nonsense", headers=ADMIN)
        assert (status, json.loads(text)["code"]) == (400, "BadUsageDays")


async def test_nobody_else_does(usage: UsageTracker) -> None:
    async with open_edge(
        more_routes=lambda auth: [UsageHandlers(usage=usage, authenticator=auth).routes]
    ) as edge:
        status, text = await edge.get("/api/usage")
        assert (status, json.loads(text)["code"]) == (403, "BadDeployKey")


async def test_prometheus_reads_the_sums_since_the_start(usage: UsageTracker) -> None:
    registry = CollectorRegistry()
    registry.register(UsageCollector(lambda: usage.totals))
    page = generate_latest(registry).decode()
    labels = '{component="",function="messages:list",kind="Query"}'
    assert f"fenchel_function_calls_total{labels} 1.0" in page
    assert f"fenchel_function_user_seconds_total{labels} 0.5" in page
