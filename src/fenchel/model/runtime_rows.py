"""Rows of system tables that come from running an app, not from deploying it."""

from __future__ import annotations

from fenchel.database import ROOT, Namespace, Transaction
from fenchel.model.cron_jobs import restart_crons

_TABLES = (
    "_scheduled_jobs",
    "_scheduled_job_args",
    "_session_requests",
    "_file_storage",
    "_cron_job_logs",
)


async def forget_runtime_rows(tx: Transaction, *, now_ns: int, namespace: Namespace = ROOT) -> None:
    """No jobs, files, answers or logs of crons; the next runs of crons counted from `now_ns`."""
    tables = tx.system(namespace)
    for name in _TABLES:
        for document in await tables.query(name, "by_creation_time"):
            await tables.delete(name, document.id_text)
    await restart_crons(tx, now_ns=now_ns, namespace=namespace)
