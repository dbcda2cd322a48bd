"""Deleting rows whose time is over: finished jobs and answers to old client requests."""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.application.transactions import run_transaction
from fenchel.database import Database, Transaction
from fenchel.model import delete_completed, delete_session_requests, list_active_namespaces
from fenchel.runtime import Runtime

_JOB_SECONDS = 7 * 86_400
_SESSION_REQUEST_SECONDS = 14 * 86_400
_ROWS_PER_TRANSACTION = 1_000
_BUSY_SECONDS = 10.0
_IDLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """A loop of bounded rounds (execution 6.1, client-protocol 3.10)."""

    database: Database
    runtime: Runtime

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            count = await self.clean()
            is_busy = count >= _ROWS_PER_TRANSACTION
            await self.runtime.clock.sleep(_BUSY_SECONDS if is_busy else _IDLE_SECONDS)

    async def clean(self) -> int:
        """One round; how many rows went."""
        now_ns = self.runtime.clock.now_ns()

        async def work(tx: Transaction) -> int:
            job_count = await _delete_jobs(tx, before_ns=now_ns - _JOB_SECONDS * 10**9)
            request_count = await delete_session_requests(
                tx,
                before_ms=now_ns / 1e6 - _SESSION_REQUEST_SECONDS * 1e3,
                limit=_ROWS_PER_TRANSACTION,
            )
            return max(job_count, request_count)

        return await run_transaction(
            self.database, self.runtime, work, write_source="_system/cleanup"
        )


async def _delete_jobs(tx: Transaction, *, before_ns: int) -> int:
    """Jobs of all mounted components, up to the bound of a round."""
    count = 0
    for namespace in await list_active_namespaces(tx):
        rest = _ROWS_PER_TRANSACTION - count
        if rest > 0:
            count += await delete_completed(
                tx, before_ns=before_ns, limit=rest, namespace=namespace
            )
    return count
