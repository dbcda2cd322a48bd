"""`_cron_jobs`, `_cron_next_run` and `_cron_job_logs`: crons, their next runs, their last runs
(execution 6.2).

Every cron has exactly one row that says when it runs next. Its state is `pending`, or `inProgress`
while an action of it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from fenchel.database import ROOT, Namespace, Transaction
from fenchel.definitions import (
    AnalyzedCron,
    CronSpec,
    FunctionPath,
    decode_function_path,
    first_run_ns,
    run_after,
)
from fenchel.documents import Document
from fenchel.model.rows import decode_row, encode_row
from fenchel.values import Value

_CRONS = "_cron_jobs"
_NEXT_RUNS = "_cron_next_run"
_LOGS = "_cron_job_logs"

_LOGS_KEPT = 5


class StoredCronSpec(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`udf_args` is JSON text of the array of arguments."""

    udf_path: str
    udf_args: bytes
    cron_schedule: dict[str, str | int]


class CronRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    name: str
    cron_spec: StoredCronSpec


class CronRunState(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    type: Literal["pending", "inProgress"]


class CronRunRow(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`prev_ts` is when the run before was due, None before the first; nanoseconds."""

    cron_job_id: str
    state: CronRunState
    prev_ts: int | None
    next_ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CronRun:
    """The next run of a cron, with the id of its row."""

    id_text: str
    row: CronRunRow
    namespace: Namespace = ROOT

    @property
    def due_ns(self) -> int:
        return self.row.next_ts

    @property
    def is_pending(self) -> bool:
        return self.row.state.type == "pending"


class CronRunLog(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One finished run. `ts` is when it was due (ns), `execution_time` is in seconds; `status` is
    {"type": "success", "result": text} or {"type": "err", "error": text} or
    {"type": "canceled", "num_canceled": count of runs that were skipped}.
    """

    ts: int
    status: dict[str, Any]
    log_lines: list[str]
    execution_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CronDiff:
    """Identifiers, sorted."""

    added: tuple[str, ...]
    updated: tuple[str, ...]
    deleted: tuple[str, ...]


async def replace_crons(
    tx: Transaction, crons: Sequence[AnalyzedCron], *, now_ns: int, namespace: Namespace = ROOT
) -> CronDiff:
    """Make these the crons of the component. One whose schedule is as before keeps its next run."""
    existing = await _list_crons(tx, namespace)
    wanted = {cron.identifier: _stored_spec(cron.spec) for cron in crons}
    deleted = sorted(existing.keys() - wanted.keys())
    added = sorted(wanted.keys() - existing.keys())
    updated = sorted(
        name for name in wanted.keys() & existing.keys() if wanted[name] != existing[name][1]
    )
    for name in deleted:
        await _delete_cron(tx, namespace, name, existing[name][0])
    for name in added:
        await _insert_cron(tx, namespace, name, wanted[name], now_ns)
    for name in updated:
        await _update_cron(tx, namespace, name, existing[name], wanted[name], now_ns)
    return CronDiff(added=tuple(added), updated=tuple(updated), deleted=tuple(deleted))


async def list_cron_runs(
    tx: Transaction, *, limit: int | None, from_ns: int = 0, namespace: Namespace = ROOT
) -> list[CronRun]:
    """Next runs that are due from that time on, ascending; at most `limit` of them."""
    rows = await tx.system(namespace).query(_NEXT_RUNS, "by_next_ts", lower=from_ns, limit=limit)
    return [_decode_run(row, namespace) for row in rows]


async def reload_cron_run(tx: Transaction, run: CronRun) -> CronRun | None:
    """The run as it stands in `tx`; None if a push deleted its cron."""
    document = await tx.system(run.namespace).get(_NEXT_RUNS, run.id_text)
    return None if document is None else _decode_run(document, run.namespace)


async def get_cron(tx: Transaction, run: CronRun) -> CronRow:
    """The cron that a present run belongs to."""
    document = await tx.system(run.namespace).get(_CRONS, run.row.cron_job_id)
    assert document is not None, "a cron and its next run are deleted together"
    return decode_row(document, CronRow)


def cron_path(cron: CronRow, *, namespace: Namespace = ROOT) -> FunctionPath:
    return decode_function_path(cron.cron_spec.udf_path, component=namespace)


async def mark_cron_run(tx: Transaction, run: CronRun, state: CronRunState) -> None:
    row = msgspec.structs.replace(run.row, state=state)
    await tx.system(run.namespace).replace(_NEXT_RUNS, run.id_text, encode_row(row))


async def complete_cron_run(tx: Transaction, run: CronRun, log: CronRunLog, *, now_ns: int) -> int:
    """Log the run that was due at `log.ts` and set up the one after it; how many runs were skipped
    because their time is past. A time that a push has set meanwhile stands.
    """
    cron = await get_cron(tx, run)
    next_ns, missed_count = run.row.next_ts, 0
    if next_ns == log.ts:
        next_ns, missed_count = run_after(cron.name, cron.cron_spec.cron_schedule, log.ts, now_ns)
    row = msgspec.structs.replace(
        run.row, state=CronRunState("pending"), prev_ts=log.ts, next_ts=next_ns
    )
    await tx.system(run.namespace).replace(_NEXT_RUNS, run.id_text, encode_row(row))
    await _insert_log(tx, run.namespace, cron, log)
    if missed_count > 0:
        status = {"type": "canceled", "num_canceled": missed_count}
        skipped = CronRunLog(ts=now_ns, status=status, log_lines=[], execution_time=0.0)
        await _insert_log(tx, run.namespace, cron, skipped)
    return missed_count


async def restart_crons(tx: Transaction, *, now_ns: int, namespace: Namespace = ROOT) -> None:
    """Set the next run of every cron as if it had just run at `now_ns`, for the first time."""
    for name, (cron_id, spec) in (await _list_crons(tx, namespace)).items():
        run = await _find_run(tx, namespace, cron_id)
        row = CronRunRow(
            cron_job_id=cron_id,
            state=CronRunState("pending"),
            prev_ts=None,
            next_ts=run_after(name, spec.cron_schedule, now_ns, now_ns)[0],
        )
        await tx.system(namespace).replace(_NEXT_RUNS, run.id_text, encode_row(row))


async def list_cron_run_logs(
    tx: Transaction, name: str, *, namespace: Namespace = ROOT
) -> list[CronRunLog]:
    """The last runs of a cron, oldest first."""
    rows = await tx.system(namespace).query(_LOGS, "by_name_and_ts", [name])
    return [decode_row(row, CronRunLog) for row in rows]


async def _list_crons(
    tx: Transaction, namespace: Namespace
) -> dict[str, tuple[str, StoredCronSpec]]:
    """Id of the row and specification, by identifier."""
    rows = await tx.system(namespace).query(_CRONS, "by_creation_time")
    crons = [(row.id_text, decode_row(row, CronRow)) for row in rows]
    return {cron.name: (id_text, cron.cron_spec) for id_text, cron in crons}


async def _insert_cron(
    tx: Transaction, namespace: Namespace, name: str, spec: StoredCronSpec, now_ns: int
) -> None:
    tables = tx.system(namespace)
    cron_id = await tables.insert(_CRONS, encode_row(CronRow(name=name, cron_spec=spec)))
    row = CronRunRow(
        cron_job_id=cron_id,
        state=CronRunState("pending"),
        prev_ts=None,
        next_ts=first_run_ns(name, spec.cron_schedule, now_ns),
    )
    await tables.insert(_NEXT_RUNS, encode_row(row))


async def _update_cron(
    tx: Transaction,
    namespace: Namespace,
    name: str,
    existing: tuple[str, StoredCronSpec],
    spec: StoredCronSpec,
    now_ns: int,
) -> None:
    """A new schedule sets a new time; a run in progress goes on and ends as it would have."""
    cron_id, former = existing
    tables = tx.system(namespace)
    await tables.replace(_CRONS, cron_id, encode_row(CronRow(name=name, cron_spec=spec)))
    if former.cron_schedule == spec.cron_schedule:
        return
    run = await _find_run(tx, namespace, cron_id)
    next_ns = first_run_ns(name, spec.cron_schedule, now_ns)
    row = msgspec.structs.replace(run.row, next_ts=next_ns)
    await tables.replace(_NEXT_RUNS, run.id_text, encode_row(row))


async def _delete_cron(tx: Transaction, namespace: Namespace, name: str, cron_id: str) -> None:
    tables = tx.system(namespace)
    run = await _find_run(tx, namespace, cron_id)
    await tables.delete(_NEXT_RUNS, run.id_text)
    await tables.delete(_CRONS, cron_id)
    for row in await tables.query(_LOGS, "by_name_and_ts", [name]):
        await tables.delete(_LOGS, row.id_text)


async def _find_run(tx: Transaction, namespace: Namespace, cron_id: str) -> CronRun:
    rows = await tx.system(namespace).query(_NEXT_RUNS, "by_cron_job_id", [cron_id])
    assert len(rows) == 1, "every cron has exactly one next run"
    return _decode_run(rows[0], namespace)


async def _insert_log(
    tx: Transaction, namespace: Namespace, cron: CronRow, log: CronRunLog
) -> None:
    """The oldest logs of the cron make room."""
    tables = tx.system(namespace)
    rows = await tables.query(_LOGS, "by_name_and_ts", [cron.name])
    for row in rows[: max(0, len(rows) - _LOGS_KEPT + 1)]:
        await tables.delete(_LOGS, row.id_text)
    about: dict[str, Value] = {
        "name": cron.name,
        "udfPath": cron.cron_spec.udf_path,
        "udfArgs": cron.cron_spec.udf_args,
    }
    await tables.insert(_LOGS, about | encode_row(log))


def _stored_spec(spec: CronSpec) -> StoredCronSpec:
    return StoredCronSpec(
        udf_path=spec.udf_path,
        udf_args=bytes(spec.udf_args),
        cron_schedule=spec.cron_schedule,
    )


def _decode_run(document: Document, namespace: Namespace) -> CronRun:
    row = decode_row(document, CronRunRow)
    return CronRun(id_text=document.id_text, row=row, namespace=namespace)
