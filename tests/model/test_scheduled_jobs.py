"""Job rows: order, ends, cleaning up (execution 6.1)."""

from __future__ import annotations

import pytest

from fenchel.database import Database, Transaction
from fenchel.definitions import FunctionPath
from fenchel.errors import FenchelError
from fenchel.model import (
    JobState,
    delete_completed,
    find_job_by_user_id,
    finished,
    get_job,
    insert_job,
    list_unfinished,
    load_args,
    replace_job,
)

NOW_NS = 1_700_000_000 * 10**9
PATH = FunctionPath("", "messages.js", "send")


async def insert(tx: Transaction, *, due_ns: int = NOW_NS, state: str = "pending") -> str:
    return await insert_job(
        tx,
        PATH,
        '[{"a":1.0}]',
        due_ns=due_ns,
        state=JobState(state),  # type: ignore[arg-type]
        now_ns=NOW_NS,
    )


async def finish(tx: Transaction, id_text: str, *, now_ns: int = NOW_NS) -> None:
    job = await get_job(tx, id_text)
    assert job is not None
    await replace_job(tx, job, finished(job.row, JobState("success"), now_ns=now_ns))


async def test_unfinished_jobs_come_in_the_order_of_their_times(database: Database) -> None:
    tx = database.begin()
    late = await insert(tx, due_ns=NOW_NS + 2)
    soon = await insert(tx, due_ns=NOW_NS + 1)
    done = await insert(tx, due_ns=NOW_NS)
    await finish(tx, done)
    assert [job.id_text for job in await list_unfinished(tx, limit=None)] == [soon, late]
    assert [job.id_text for job in await list_unfinished(tx, limit=1)] == [soon]
    due = await list_unfinished(tx, limit=None, through_ns=NOW_NS + 1)
    assert [job.id_text for job in due] == [soon]


async def test_a_time_in_the_past_means_now(database: Database) -> None:
    tx = database.begin()
    job = await get_job(tx, await insert(tx, due_ns=NOW_NS - 5))
    assert job is not None
    assert job.row.next_ts == NOW_NS
    assert job.row.original_scheduled_ts == NOW_NS - 5
    assert job.row.path == PATH
    assert await load_args(tx, job) == '[{"a":1.0}]'


async def test_a_job_born_canceled_is_finished(database: Database) -> None:
    tx = database.begin()
    job = await get_job(tx, await insert(tx, state="canceled"))
    assert job is not None
    assert job.row.is_finished
    assert job.row.completed_ts == NOW_NS


async def test_ids_of_users_are_checked(database: Database) -> None:
    tx = database.begin()
    id_text = await insert(tx)
    assert await find_job_by_user_id(tx, id_text) is not None
    of_another_table = await tx.user().insert("items", {})
    for wrong in ("nonsense", of_another_table):
        with pytest.raises(FenchelError, match="InvalidScheduledFunctionId"):
            await find_job_by_user_id(tx, wrong)


async def test_old_jobs_are_deleted_with_their_arguments(database: Database) -> None:
    tx = database.begin()
    old, new, pending = [await insert(tx) for _ in range(3)]
    await finish(tx, old, now_ns=NOW_NS)
    await finish(tx, new, now_ns=NOW_NS + 10)
    assert await delete_completed(tx, before_ns=NOW_NS + 5, limit=10) == 1
    assert await get_job(tx, old) is None
    assert await get_job(tx, new) is not None
    assert await get_job(tx, pending) is not None
    assert len(await tx.system().query("_scheduled_job_args", "by_creation_time")) == 2


async def test_the_view_shows_state_and_times(database: Database) -> None:
    tx = database.begin()
    id_text = await insert(tx, due_ns=NOW_NS + 1_000_000)
    job = await get_job(tx, id_text)
    assert job is not None
    failed = JobState("failed", error="why")
    await replace_job(tx, job, finished(job.row, failed, now_ns=NOW_NS + 2_000_000))
    document = await tx.user().get(id_text, is_system=True)
    assert document is not None
    assert {k: v for k, v in document.value.items() if not k.startswith("_")} == {
        "name": "messages.js:send",
        "args": [{"a": 1.0}],
        "state": {"kind": "failed", "error": "why"},
        "scheduledTime": NOW_NS / 1e6 + 1,
        "completedTime": NOW_NS / 1e6 + 2,
    }
