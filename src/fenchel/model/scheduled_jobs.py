"""`_scheduled_jobs` and `_scheduled_job_args`: functions to run later (execution 6.1).

States: pending -> inProgress (actions only) -> success | failed | canceled. A mutation goes from
pending to success in its own transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from fenchel.database import ROOT, Namespace, SystemTables, Transaction, VirtualTable
from fenchel.definitions import FunctionPath, decode_function_path
from fenchel.documents import Document
from fenchel.errors import bad_request
from fenchel.model.rows import decode_row, encode_row
from fenchel.values import Value, decode_json

_TABLE = "_scheduled_jobs"
_ARGS_TABLE = "_scheduled_job_args"

JobStateKind = Literal["pending", "inProgress", "success", "failed", "canceled"]


class JobState(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """`error` explains a failed job; request and execution id belong to an action in progress."""

    type: JobStateKind
    error: str | None = None
    request_id: str | None = None
    execution_id: str | None = None


class JobAttempts(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    system_errors: int = 0
    occ_errors: int = 0


class JobRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Times are nanoseconds since the epoch. `next_ts` is set while the job is unfinished,
    `completed_ts` afterwards; `udf_path` is canonical ("a/b.js:run").
    """

    component: str
    udf_path: str
    args_id: str
    state: JobState
    next_ts: int | None
    completed_ts: int | None = None
    original_scheduled_ts: int
    attempts: JobAttempts = JobAttempts()

    @property
    def path(self) -> FunctionPath:
        return decode_function_path(self.udf_path, component=self.component)

    @property
    def is_finished(self) -> bool:
        return self.next_ts is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJob:
    """A row with its id. `namespace` is the component whose scheduler holds it."""

    id_text: str
    row: JobRow
    namespace: Namespace = ROOT

    @property
    def due_ns(self) -> int:
        """Of an unfinished job."""
        assert self.row.next_ts is not None, "unfinished jobs have a due time"
        return self.row.next_ts

    @property
    def is_pending(self) -> bool:
        return self.row.state.type == "pending"


class _ArgsRow(msgspec.Struct, frozen=True, kw_only=True):
    args: bytes


async def insert_job(
    tx: Transaction,
    path: FunctionPath,
    args_json: str,
    *,
    due_ns: int,
    state: JobState,
    now_ns: int,
    namespace: Namespace = ROOT,
) -> str:
    """Record a job; its id. `args_json` is JSON text of an array with one object.

    A job that is born canceled is finished at once.
    """
    tables = tx.system(namespace)
    args_id = await tables.insert(_ARGS_TABLE, encode_row(_ArgsRow(args=args_json.encode())))
    is_pending = state.type == "pending"
    row = JobRow(
        component=path.component,
        udf_path=path.canonical,
        args_id=args_id,
        state=state,
        next_ts=max(due_ns, now_ns) if is_pending else None,
        completed_ts=None if is_pending else now_ns,
        original_scheduled_ts=due_ns,
    )
    return await tables.insert(_TABLE, encode_row(row))


async def get_job(
    tx: Transaction, id_text: str, *, namespace: Namespace = ROOT
) -> ScheduledJob | None:
    """None for an id whose job was never there or was cleaned up."""
    document = await tx.system(namespace).get(_TABLE, id_text)
    return None if document is None else _decode(document, namespace)


async def find_job_by_user_id(
    tx: Transaction, id_text: str, *, namespace: Namespace = ROOT
) -> ScheduledJob | None:
    """As `get_job`, for an id that user code gave. Raises: InvalidScheduledFunctionId for anything
    that is not an id of this table.
    """
    view = SCHEDULED_FUNCTIONS_VIEW.name
    if tx.user(namespace).normalize_id(view, id_text, is_system=True) != id_text:
        raise bad_request(
            "InvalidScheduledFunctionId",
            f"{id_text!r} is not the id of a scheduled function. Pass an id that the scheduler "
            "returned.",
        )
    return await get_job(tx, id_text, namespace=namespace)


async def replace_job(tx: Transaction, job: ScheduledJob, row: JobRow) -> None:
    await tx.system(job.namespace).replace(_TABLE, job.id_text, encode_row(row))


def finished(row: JobRow, state: JobState, *, now_ns: int) -> JobRow:
    """The row of an ended job; its arguments stay readable until the row is cleaned up."""
    return msgspec.structs.replace(row, state=state, next_ts=None, completed_ts=now_ns)


async def load_args(tx: Transaction, job: ScheduledJob) -> str:
    """JSON text of the argument array."""
    document = await tx.system(job.namespace).get(_ARGS_TABLE, job.row.args_id)
    assert document is not None, "a job and its arguments are deleted together"
    return decode_row(document, _ArgsRow).args.decode()


async def list_unfinished(
    tx: Transaction,
    *,
    limit: int | None,
    from_ns: int = 0,
    through_ns: int | None = None,
    namespace: Namespace = ROOT,
) -> list[ScheduledJob]:
    """Unfinished jobs, in progress or pending, ascending by `next_ts`; at most `limit`
    of them, and none whose time is before `from_ns` or after `through_ns`.

    The read set covers no more than the rows before the last one returned, unless fewer exist.
    """
    rows = await tx.system(namespace).query(
        _TABLE, "by_next_ts", lower=from_ns, upper=through_ns, limit=limit
    )
    return [_decode(row, namespace) for row in rows]


async def delete_completed(
    tx: Transaction, *, before_ns: int, limit: int, namespace: Namespace = ROOT
) -> int:
    """Delete up to `limit` jobs that were completed before that time; how many there were."""
    tables = tx.system(namespace)
    rows = await tables.query(_TABLE, "by_completed_ts", lower=0, upper=before_ns, limit=limit)
    for row in rows:
        await tables.delete(_ARGS_TABLE, decode_row(row, JobRow).args_id)
        await tables.delete(_TABLE, row.id_text)
    return len(rows)


def _decode(document: Document, namespace: Namespace) -> ScheduledJob:
    row = decode_row(document, JobRow)
    return ScheduledJob(id_text=document.id_text, row=row, namespace=namespace)


async def _view(document: Document, tables: SystemTables) -> dict[str, Value]:
    """The row as `ctx.db.system` shows it; times are milliseconds (execution 6.1)."""
    row = decode_row(document, JobRow)
    args = await tables.get(_ARGS_TABLE, row.args_id)
    assert args is not None, "a job and its arguments are deleted together"
    state: dict[str, Value] = {"kind": row.state.type}
    if row.state.error is not None:
        state["error"] = row.state.error
    view: dict[str, Value] = {
        "name": row.udf_path,
        "args": decode_json(decode_row(args, _ArgsRow).args),
        "state": state,
        "scheduledTime": _milliseconds(row.original_scheduled_ts),
    }
    if row.completed_ts is not None:
        view["completedTime"] = _milliseconds(row.completed_ts)
    return view


def _milliseconds(time_ns: int) -> float:
    """Rounded to microseconds, so that what came as whole milliseconds is shown as such."""
    return (time_ns + 500) // 1_000 / 1_000


SCHEDULED_FUNCTIONS_VIEW = VirtualTable(
    name="_scheduled_functions", physical_name=_TABLE, convert=_view
)
