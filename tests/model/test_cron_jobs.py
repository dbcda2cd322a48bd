"""Rows of crons: what a push changes and what a finished run leaves (execution 6.2)."""

from __future__ import annotations

from fenchel.database import Database
from fenchel.definitions import AnalyzedCron, CronSpec
from fenchel.model import (
    CronDiff,
    CronRun,
    CronRunLog,
    complete_cron_run,
    list_cron_run_logs,
    list_cron_runs,
    replace_crons,
)

SECOND = 10**9


def cron(identifier: str, seconds: int, function: str = "run") -> AnalyzedCron:
    spec = CronSpec(
        udf_path=f"app.js:{function}",
        udf_args=list(b"[{}]"),
        cron_schedule={"type": "interval", "seconds": seconds},
    )
    return AnalyzedCron(identifier=identifier, spec=spec)


async def push(database: Database, *crons: AnalyzedCron, now_ns: int) -> CronDiff:
    tx = database.begin()
    diff = await replace_crons(tx, crons, now_ns=now_ns)
    await database.commit(tx)
    return diff


async def next_runs(database: Database) -> list[CronRun]:
    return await list_cron_runs(database.begin(), limit=None)


def success(due_ns: int) -> CronRunLog:
    status = {"type": "success", "result": "1"}
    return CronRunLog(ts=due_ns, status=status, log_lines=[], execution_time=0.5)


async def complete(database: Database, run: CronRun, *, now_ns: int) -> int:
    tx = database.begin()
    missed_count = await complete_cron_run(tx, run, success(run.due_ns), now_ns=now_ns)
    await database.commit(tx)
    return missed_count


async def test_a_push_adds_updates_keeps_and_deletes(database: Database) -> None:
    first = await push(database, cron("a", 60), cron("b", 60), cron("c", 60), now_ns=SECOND)
    assert first == CronDiff(added=("a", "b", "c"), updated=(), deleted=())
    for run in await next_runs(database):
        await complete(database, run, now_ns=SECOND)

    pushed = cron("a", 60), cron("b", 30), cron("d", 60)
    second = await push(database, *pushed, now_ns=5 * SECOND)

    assert second == CronDiff(added=("d",), updated=("b",), deleted=("c",))
    runs = await next_runs(database)
    # The changed one and the new one begin anew, the unchanged one keeps its time.
    assert [run.due_ns for run in runs] == [5 * SECOND, 5 * SECOND, 61 * SECOND]


async def test_another_function_keeps_the_time(database: Database) -> None:
    await push(database, cron("a", 60), now_ns=SECOND)
    (run,) = await next_runs(database)
    await complete(database, run, now_ns=SECOND)
    diff = await push(database, cron("a", 60, function="other"), now_ns=9 * SECOND)
    assert diff.updated == ("a",)
    (run,) = await next_runs(database)
    assert run.due_ns == 61 * SECOND


async def test_a_late_run_skips_what_it_missed_and_says_so(database: Database) -> None:
    await push(database, cron("a", 10), now_ns=0)
    (run,) = await next_runs(database)
    assert await complete(database, run, now_ns=35 * SECOND) == 3
    (run,) = await next_runs(database)
    assert run.due_ns == 40 * SECOND
    logs = await list_cron_run_logs(database.begin(), "a")
    assert [log.status["type"] for log in logs] == ["success", "canceled"]
    assert logs[1].status["num_canceled"] == 3


async def test_a_time_set_by_a_push_during_a_run_stands(database: Database) -> None:
    await push(database, cron("a", 10), now_ns=SECOND)
    (running,) = await next_runs(database)
    await push(database, cron("a", 600), now_ns=7 * SECOND)
    (current,) = await next_runs(database)
    tx = database.begin()
    await complete_cron_run(tx, current, success(running.due_ns), now_ns=8 * SECOND)
    await database.commit(tx)
    (after,) = await next_runs(database)
    assert after.due_ns == 7 * SECOND


async def test_the_last_five_runs_are_kept(database: Database) -> None:
    await push(database, cron("a", 10), now_ns=0)
    for _ in range(8):
        (run,) = await next_runs(database)
        await complete(database, run, now_ns=run.due_ns)
    logs = await list_cron_run_logs(database.begin(), "a")
    assert [log.ts for log in logs] == [number * 10 * SECOND for number in range(3, 8)]
