"""What functions used, for admins and for Prometheus."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fenchel.application import UsageTracker
from fenchel.database import Database
from fenchel.model import VIRTUAL_TABLES, StoredFileRow, insert_stored_file
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


async def insert(database: Database, tracker: UsageTracker) -> None:
    """A document in `notes` and a file of 5 bytes, by a mutation."""
    tx = database.begin()
    await tx.user().insert("notes", {})
    outcome = UdfOutcome(result=FunctionResult("null"), user_seconds=0.5)
    tracker.record_run(("", "a:b", "Mutation"), outcome, tx, seconds=1.0, is_final=True)
    row = StoredFileRow(storage_id="u", storage_key="00", sha256=bytes(32), size=5)
    await insert_stored_file(tx, row)
    await database.commit(tx)


async def test_tables_and_files_are_apart_from_functions() -> None:
    runtime = Runtime()
    database = await Database.open(MemoryPersistence(), runtime, VIRTUAL_TABLES)
    tracker = UsageTracker(database, runtime)
    await insert(database, tracker)
    registry = CollectorRegistry()
    registry.register(UsageCollector(tracker))
    async with open_edge(
        more_routes=lambda auth: [UsageHandlers(usage=tracker, authenticator=auth).routes]
    ) as edge:
        report = json.loads((await edge.get("/api/usage", headers=ADMIN))[1])
    assert [row["function"] for row in report["rows"]] == ["a:b"]
    (table,) = report["tables"]
    assert (table["table"], table["writtenDocuments"], table["storedDocuments"]) == ("notes", 1, 1)
    assert report["files"] == [{"component": "", "files": 1, "bytes": 5}]
    page = generate_latest(registry).decode()
    assert 'fenchel_table_written_documents_total{component="",table="notes"} 1.0' in page
    assert 'fenchel_stored_file_bytes{component=""} 5.0' in page
    assert 'kind="Table"' not in page
    await database.close()


async def test_prometheus_reads_the_sums_since_the_start(usage: UsageTracker) -> None:
    registry = CollectorRegistry()
    registry.register(UsageCollector(usage))
    page = generate_latest(registry).decode()
    labels = '{component="",function="messages:list",kind="Query"}'
    assert f"fenchel_function_calls_total{labels} 1.0" in page
    assert f"fenchel_function_user_seconds_total{labels} 0.5" in page
