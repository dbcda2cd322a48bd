"""Brings all queries of one connection to one timestamp, and keeps their subscriptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fenchel.application import FunctionCall, FunctionCaller, QueryRun
from fenchel.auth import Identity, check_not_expired
from fenchel.database import Subscription, Token
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime import Runtime
from fenchel.sync.backend import ClientInfo, FunctionBackend
from fenchel.sync.function_calls import random_request_id, run_with_retries
from fenchel.sync.protocol import Transition
from fenchel.sync.sync_state import (
    QueryOutcome,
    QueryWork,
    RejectedQuery,
    SyncState,
    TransitionPlan,
)

logger = logging.getLogger(__name__)

# A transition whose timestamp has left the retained history starts anew (3.8).
RESTARTS_MAX = 3
RESTART_SECONDS = 3.0


class LiveQueries:
    """Invariant: between transitions every query that ran has exactly one open subscription."""

    def __init__(
        self,
        *,
        backend: FunctionBackend,
        state: SyncState,
        client: ClientInfo,
        runtime: Runtime,
        on_change: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._state = state
        self._client = client
        self._runtime = runtime
        self._on_change = on_change
        self._subscriptions: dict[int, Subscription] = {}
        self._running = asyncio.Semaphore(runtime.settings.sync.query_parallelism)

    def close(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()

    async def compute_transition(self) -> Transition | None:
        """The next Transition, or None if nothing changed for the client. Raises FenchelError."""
        for _ in range(RESTARTS_MAX):
            plan = self._begin()
            try:
                return await self._finish(plan)
            except FenchelError as error:
                if error.kind is not ErrorKind.OUT_OF_RETENTION:
                    raise
            self._state.abandon_transition()
            await self._runtime.clock.sleep(RESTART_SECONDS)
        return await self._finish(self._begin())

    def _begin(self) -> TransitionPlan:
        plan = self._state.begin_transition(latest_ts=self._backend.latest_ts())
        check_not_expired(plan.identity, self._runtime.clock.now_ns())
        return plan

    async def _finish(self, plan: TransitionPlan) -> Transition | None:
        outcomes: dict[int, QueryOutcome] = {}
        stale: list[QueryWork] = []
        for work in plan.work:
            token = self._refresh(work, plan.end.ts)
            if token is None:
                stale.append(work)
            else:
                outcomes[work.query_id] = token
        outcomes.update(await self._run_queries(stale, plan))
        self._update_subscriptions(plan, outcomes)
        return self._state.finish_transition(outcomes)

    def _refresh(self, work: QueryWork, ts: Timestamp) -> Token | None:
        """The token at `ts`, or None if the query must run again.

        A subscription that is still valid has followed every published commit, so the commit log
        need not be searched, nor reach back to an idle client's last result.
        """
        if work.token is None:
            return None
        subscription = self._subscriptions.get(work.query_id)
        if subscription is not None and subscription.is_valid:
            return Token(reads=work.token.reads, ts=ts)
        try:
            return self._backend.refresh(work.token, ts)
        except FenchelError as error:
            if error.kind is not ErrorKind.OUT_OF_RETENTION:
                raise
            return None

    async def _run_queries(
        self, stale: list[QueryWork], plan: TransitionPlan
    ) -> dict[int, QueryRun | RejectedQuery]:
        if not stale:
            return {}
        if len(stale) == 1:
            return {stale[0].query_id: await self._run_query(stale[0], plan)}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    work.query_id: group.create_task(
                        self._run_query(work, plan), name=f"query {work.query_id}"
                    )
                    for work in stale
                }
        except ExceptionGroup as failures:
            # One reason is enough to end or restart the transition; the others are its like.
            raise failures.exceptions[0] from failures
        return {query_id: task.result() for query_id, task in tasks.items()}

    async def _run_query(self, work: QueryWork, plan: TransitionPlan) -> QueryRun | RejectedQuery:
        call = self._call(work, plan.identity)
        async with self._running:
            try:
                return await run_with_retries(
                    self._runtime,
                    lambda: self._backend.run_query(call, ts=plan.end.ts, journal=work.journal),
                )
            except FenchelError as error:
                if not error.is_developer_error or error.kind is ErrorKind.UNAUTHENTICATED:
                    raise
                return RejectedQuery(error=error, request_id=call.request_id)

    def _call(self, work: QueryWork, identity: Identity) -> FunctionCall:
        return FunctionCall(
            path=work.add.udf_path,
            component=work.add.component_path or "",
            args_json=bytes(work.add.args).decode(),
            identity=identity,
            caller=FunctionCaller.SYNC_WORKER,
            request_id=random_request_id(self._runtime),
            client_ip=self._client.client_ip,
            user_agent=self._client.user_agent,
        )

    def _update_subscriptions(
        self, plan: TransitionPlan, outcomes: dict[int, QueryOutcome]
    ) -> None:
        for query_id in plan.removed:
            self._close_subscription(query_id)
        for query_id, outcome in outcomes.items():
            if isinstance(outcome, Token):
                continue
            self._close_subscription(query_id)
            if isinstance(outcome, RejectedQuery):
                continue
            subscription = self._backend.subscribe(outcome.token, self._on_invalidate)
            self._subscriptions[query_id] = subscription
            if not subscription.is_valid:
                self._on_invalidate(subscription)

    def _close_subscription(self, query_id: int) -> None:
        subscription = self._subscriptions.pop(query_id, None)
        if subscription is not None:
            subscription.close()

    def _on_invalidate(self, _subscription: Subscription) -> None:
        self._state.invalidate()
        self._on_change()
