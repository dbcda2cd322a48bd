"""Test mode's reset: data gone, code, schema and indexes kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fenchel.application import DataResetter
from fenchel.database import TableAdmin
from fenchel.definitions import AnalyzedCron, CronSpec
from fenchel.model import (
    CronRunLog,
    StoredFileRow,
    complete_cron_run,
    get_session_request,
    insert_stored_file,
    list_cron_run_logs,
    list_cron_runs,
    list_unfinished,
    replace_crons,
)
from tests.application.fakes import Backend, document_functions, running_backend
from tests.application.test_job_executor import functions as job_functions
from tests.application.test_job_executor import schedule

HOUR_NS = 3_600 * 10**9


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(document_functions()) as running:
        yield running


async def reset(backend: Backend) -> None:
    await DataResetter(database=backend.database, runtime=backend.runtime).reset()


@pytest.mark.parametrize("count", [1, 300])
async def test_documents_go_and_tables_stay(backend: Backend, count: int) -> None:
    tx = backend.database.begin()
    for number in range(count):
        await tx.user().insert("documents", {"number": float(number)})
    await backend.database.commit(tx)
    (before,) = TableAdmin(backend.database.begin()).list_user_tables()
    await reset(backend)
    tx = backend.database.begin()
    (after,) = TableAdmin(tx).list_user_tables()
    assert (after.name, after.number) == (before.name, before.number)
    assert await tx.user().count("documents") == 0
    await tx.user().insert("documents", {"number": 0.0})
    await backend.database.commit(tx)


async def test_a_subscriber_sees_it(backend: Backend) -> None:
    tx = backend.database.begin()
    await tx.user().insert("documents", {"number": 0.0})
    await backend.database.commit(tx)
    tx = backend.database.begin()
    assert await tx.user().count("documents") == 1
    seen = asyncio.Event()
    subscription = backend.database.subscribe(backend.database.token(tx), lambda _: seen.set())
    await reset(backend)
    assert seen.is_set()
    subscription.close()


async def test_jobs_files_and_answers_go() -> None:
    async with running_backend(job_functions()) as backend:
        await schedule(backend, "send", delay=60)
        tx = backend.database.begin()
        row = StoredFileRow(storage_id="s", storage_key="k", sha256=bytes(32), size=1)
        await insert_stored_file(tx, row)
        await backend.database.commit(tx)
        await reset(backend)
        tx = backend.database.begin()
        assert await list_unfinished(tx, limit=None) == []
        for name in ("_scheduled_job_args", "_file_storage"):
            assert await tx.system().query(name, "by_creation_time") == []
        assert await get_session_request(tx, "session", 1) is None


async def test_crons_count_from_now_and_have_no_history(backend: Backend) -> None:
    spec = CronSpec(
        udf_path="app.js:insert",
        udf_args=list(b"[{}]"),
        cron_schedule={"type": "interval", "seconds": 3_600},
    )
    tx = backend.database.begin()
    now_ns = backend.runtime.clock.now_ns()
    await replace_crons(tx, [AnalyzedCron(identifier="c", spec=spec)], now_ns=now_ns)
    (run,) = await list_cron_runs(tx, limit=None)
    log = CronRunLog(ts=run.due_ns, status={}, log_lines=[], execution_time=0.0)
    await complete_cron_run(tx, run, log, now_ns=now_ns + 9 * HOUR_NS)
    await backend.database.commit(tx)
    await reset(backend)
    tx = backend.database.begin()
    assert await list_cron_run_logs(tx, "c") == []
    (run,) = await list_cron_runs(tx, limit=None)
    assert run.row.prev_ts is None
    assert now_ns + HOUR_NS <= run.due_ns < now_ns + 2 * HOUR_NS
