"""Running mutations: conflicts are retried, a repeated client request takes effect once (execution
4.6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from fenchel.application.calls import SessionRequest
from fenchel.application.executions import Executions, Invocation
from fenchel.application.metrics import ApplicationMetrics
from fenchel.application.scheduling import TransactionServices
from fenchel.application.transactions import wait_after_conflict
from fenchel.database import Database, Reservation, Transaction
from fenchel.documents import Timestamp
from fenchel.errors import ConflictError, FenchelError
from fenchel.function_runner import FunctionRunner
from fenchel.model import StoredResult, get_session_request, record_session_request
from fenchel.runtime import Runtime
from fenchel.udf import FunctionResult, JsError, UdfOutcome, UdfRequest, UdfType
from fenchel.values import resolve_commit_ts_json


class MutationOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """`ts` is None if nothing was committed because the function failed."""

    outcome: UdfOutcome
    ts: Timestamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationRunner:
    database: Database
    function_runner: FunctionRunner
    executions: Executions
    services: TransactionServices
    metrics: ApplicationMetrics
    runtime: Runtime

    async def run(
        self,
        invocation: Invocation,
        session: SessionRequest | None = None,
        *,
        on_commit: Callable[[Timestamp], None] | None = None,
    ) -> MutationOutcome:
        """Run until it commits or fails by itself. A developer error is an outcome.

        `on_commit` is called with the timestamp before anybody can see the writes.

        One that has lost several times waits for a turn, in which it cannot lose to others.
        Raises: ConflictError when the retries are used up; other FenchelError for system failures.
        """
        start = self.runtime.clock.monotonic()
        status = "cancelled"
        try:
            ended = await self._run(invocation, session, on_commit)
            status = "error" if ended.ts is None else "success"
            return ended
        except ConflictError:
            status = "conflict"
            raise
        except Exception:
            status = "system_error"
            raise
        finally:
            self.metrics.record_mutation(status, self.runtime.clock.monotonic() - start)

    async def _run(
        self,
        invocation: Invocation,
        session: SessionRequest | None,
        on_commit: Callable[[Timestamp], None] | None,
    ) -> MutationOutcome:
        retries_max = self.runtime.settings.application.occ_retries_max
        lost: Transaction | None = None
        attempt = 0
        while True:
            # The usual first attempt asks for no turn.
            turn = nullcontext() if lost is None else self._turn(lost, attempt)
            async with turn as reservation:
                tx = self.database.begin(reservation=reservation)
                try:
                    return await self._attempt(invocation, session, tx, attempt, on_commit)
                except ConflictError as error:
                    if attempt >= retries_max:
                        raise
                    conflict = error
            await wait_after_conflict(self.database, self.runtime, conflict, attempt)
            lost = tx
            attempt += 1

    async def execute(
        self, invocation: Invocation, tx: Transaction
    ) -> tuple[UdfRequest, UdfOutcome]:
        """One execution inside `tx`, without committing."""
        request = self.executions.begin(invocation, UdfType.MUTATION)
        outcome = await self.function_runner.run_udf(
            request, tx, self.services, visibility=invocation.visibility
        )
        return request, outcome

    async def commit(
        self,
        invocation: Invocation,
        request: UdfRequest,
        tx: Transaction,
        outcome: UdfOutcome,
        attempt: int,
        *,
        retries_max: int | None,
        on_commit: Callable[[Timestamp], None] | None = None,
    ) -> MutationOutcome:
        """Commit a successful execution and log it.

        A developer error of the commit itself becomes the outcome. Raises ConflictError, logged
        too; `retries_max` None means that the caller will retry for ever.
        """
        try:
            ts = await self.database.commit(
                tx, write_source=invocation.path.stripped, on_publish=on_commit
            )
        except ConflictError as conflict:
            self.executions.record_outcome(
                invocation,
                request,
                outcome,
                transaction=tx,
                conflict=conflict,
                retry_count=attempt,
                will_retry=retries_max is None or attempt < retries_max,
            )
            raise
        except FenchelError as error:
            if not error.is_developer_error:
                raise
            outcome = UdfOutcome(
                result=JsError(message=f"Uncaught Error: {error.message}"),
                log_lines=outcome.log_lines,
            )
            self.executions.record_outcome(invocation, request, outcome, transaction=tx)
            return MutationOutcome(outcome=outcome, ts=None)
        outcome = _with_commit_ts(outcome, ts)
        self.executions.record_outcome(
            invocation, request, outcome, transaction=tx, retry_count=attempt
        )
        return MutationOutcome(outcome=outcome, ts=ts)

    @asynccontextmanager
    async def _turn(self, lost: Transaction, attempt: int) -> AsyncIterator[Reservation | None]:
        """A reservation once the retries without one are used up; None before, or if there is
        none to have."""
        if attempt <= self.runtime.settings.application.occ_retries_unreserved:
            yield None
            return
        async with self.database.reserve(lost) as reservation:
            yield reservation

    async def _attempt(
        self,
        invocation: Invocation,
        session: SessionRequest | None,
        tx: Transaction,
        attempt: int,
        on_commit: Callable[[Timestamp], None] | None,
    ) -> MutationOutcome:
        if session is not None:
            stored = await get_session_request(tx, session.session_id, session.request_id)
            if stored is not None:
                return _repeat(stored, tx.begin_ts)
        request, outcome = await self.execute(invocation, tx)
        if not isinstance(outcome.result, FunctionResult):
            self.executions.record_outcome(invocation, request, outcome, transaction=tx)
            return MutationOutcome(outcome=outcome, ts=None)
        if session is not None:
            result = StoredResult(value_json=outcome.result.value_json, log_lines=outcome.log_lines)
            await record_session_request(tx, session.session_id, session.request_id, result)
        retries_max = self.runtime.settings.application.occ_retries_max
        return await self.commit(
            invocation,
            request,
            tx,
            outcome,
            attempt,
            retries_max=retries_max,
            on_commit=on_commit,
        )


def _with_commit_ts(outcome: UdfOutcome, ts: Timestamp) -> UdfOutcome:
    """The outcome with `ts` where the function returned `db.vars.commitTs` (database 7.7)."""
    if not isinstance(outcome.result, FunctionResult):
        return outcome
    value_json = outcome.result.value_json
    resolved = resolve_commit_ts_json(value_json, ts)
    return outcome if resolved is value_json else replace(outcome, result=FunctionResult(resolved))


def _repeat(stored: StoredResult, visible_ts: Timestamp) -> MutationOutcome:
    """The recorded answer. Its effects are visible at `visible_ts`, which is what a client waits
    for.
    """
    result = FunctionResult(stored.value_json)
    outcome = UdfOutcome(result=result, log_lines=stored.log_lines)
    return MutationOutcome(outcome=outcome, ts=visible_ts)
