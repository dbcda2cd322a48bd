"""Brings all queries of one connection to one timestamp, and keeps their watches."""

from __future__ import annotations

import asyncio
import logging

from fenchel.application import FunctionCall, FunctionCaller
from fenchel.auth import Identity, cache_key, check_not_expired, is_admin, may_expire
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime import Runtime
from fenchel.sync.backend import ClientInfo
from fenchel.sync.function_calls import random_request_id
from fenchel.sync.protocol import Transition
from fenchel.sync.shared_queries import SharedQueries
from fenchel.sync.shared_query import (
    Connection,
    QueryKey,
    Request,
    SharedResult,
    SharedWatch,
)
from fenchel.sync.sync_state import LiveQuery, SyncState, TransitionPlan

logger = logging.getLogger(__name__)

# A transition whose timestamp has left the retained history starts anew (3.8), so often in a row.
RESTARTS_MAX = 3
# A query that is temporarily unavailable is left out of the transition and tried again (3.8).
POSTPONED_SECONDS = 3.0


class LiveQueries:
    """Invariant: between transitions every query that has an answer has exactly one open watch.

    `_plan` is that of the state machine. Each query of its work is in `_todo` until it is asked
    for, then in `_requests` unless the result is known, and in `_answers` when the result is there,
    or in `_postponed` if it cannot be had now. `_retry_timer` runs while one of those is missing.
    """

    def __init__(
        self,
        *,
        shared: SharedQueries,
        state: SyncState,
        client: ClientInfo,
        runtime: Runtime,
        owner: Connection,
    ) -> None:
        self._shared = shared
        self._state = state
        self._client = client
        self._runtime = runtime
        self._owner = owner
        self._parallelism = runtime.settings.sync.query_parallelism
        self._plan: TransitionPlan | None = None
        self._todo: list[LiveQuery] = []
        self._requests: dict[int, tuple[LiveQuery, Request]] = {}
        self._answers: dict[int, SharedResult] = {}
        self._postponed: set[int] = set()
        self._retry_timer: asyncio.TimerHandle | None = None
        self._watches: dict[int, SharedWatch] = {}
        self._restart_count = 0
        self._identity: Identity | None = None
        self.identity_key = ""
        self._may_expire = False

    def close(self) -> None:
        """The end: nothing may be called after it. Lets go of all that leads back here, because
        garbage cycles are seldom looked for."""
        self._drop_plan()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        del self._owner, self._state

    def advance(self) -> Transition | None:
        """The next Transition if it can be had without waiting. Begins one if it is due.

        Raises what a query of the plan raised; TokenExpired.
        """
        if self._plan is not None and not self._collect():
            return None
        if self._plan is None:
            if not self._state.is_transition_due:
                return None
            self._begin()
            if self._requests or self._todo:
                return None
        try:
            return self._finish()
        except FenchelError as error:
            self._restart_after(error)
            self._shared.schedule(self._owner)
            return None

    def _begin(self) -> None:
        plan = self._state.begin_transition(latest_ts=self._shared.turn_ts)
        identity = plan.identity
        if identity is not self._identity:
            self._identity = identity
            self.identity_key = f"{type(identity).__name__} {cache_key(identity)}"
            self._may_expire = may_expire(identity)
        if self._may_expire:
            check_not_expired(identity, self._runtime.clock.now_ns())
        self._plan = plan
        self._todo.extend(reversed(plan.work))
        self._ask()

    def _ask(self) -> None:
        """Ask for as many answers as one connection may wait for at once. Known ones are not waited
        for, but the rest has to wait for another turn: other connections want theirs.
        """
        plan = self._plan
        assert plan is not None
        for _ in range(self._parallelism - len(self._requests)):
            if not self._todo:
                return
            query = self._todo.pop()
            watch = self._watches.get(query.query_id) if query.watch is not None else None
            known = None if watch is None else watch.result_at(plan.end.ts)
            if known is not None:
                self._answers[query.query_id] = known
                continue
            key = self._shared.resolve(self._own_key(query)) if watch is None else watch.key
            self._request(query, key)
        if self._todo and len(self._requests) < self._parallelism:
            self._shared.schedule(self._owner)

    def _request(self, query: LiveQuery, key: QueryKey) -> None:
        plan = self._plan
        assert plan is not None
        asked = self._shared.request(key, plan.end.ts, owner=self._owner, viewer=self)
        if isinstance(asked, SharedResult):
            self._answers[query.query_id] = asked
        else:
            self._requests[query.query_id] = (query, asked)

    def _collect(self) -> bool:
        """Take up the answers that have come; False while others are missing."""
        arrived = [pair for pair in self._requests.values() if pair[1].answer is not None]
        for query, request in arrived:
            answer = request.answer
            del self._requests[query.query_id]
            if isinstance(answer, SharedResult):
                self._answers[query.query_id] = answer
            elif _is_unavailable(answer):
                self._postponed.add(query.query_id)
            elif isinstance(answer, BaseException):
                self._restart_after(answer)
                return True
            else:
                self._request(query, self._own_key(query))
        if self._todo:
            self._ask()
        return not (self._requests or self._todo)

    def _restart_after(self, error: BaseException) -> None:
        """Give the plan up if its timestamp is not readable any more. Raises other errors."""
        is_lost = isinstance(error, FenchelError) and error.kind is ErrorKind.OUT_OF_RETENTION
        if not is_lost or self._restart_count >= RESTARTS_MAX:
            raise error
        self._restart_count += 1
        self._drop_plan()
        self._state.abandon_transition()

    def _drop_plan(self) -> None:
        for _, request in self._requests.values():
            request.cancel()
        self._requests.clear()
        self._answers.clear()
        self._postponed.clear()
        self._todo.clear()
        self._plan = None

    def _finish(self) -> Transition | None:
        plan, answers, watches = self._plan, self._answers, self._watches
        assert plan is not None
        for query_id, result in answers.items():
            former = watches.get(query_id)
            if former is None or not former.shows(result):
                watches[query_id] = self._shared.watch(result, self, former=former)
        # After the new ones: the same query, under another id, goes on being watched.
        for query_id in plan.removed:
            if query_id not in answers:
                self._close_watch(query_id)
        if self._postponed and self._retry_timer is None:
            loop = asyncio.get_running_loop()
            self._retry_timer = loop.call_later(POSTPONED_SECONDS, self._retry)
        transition = self._state.finish_transition(answers, watches, postponed=self._postponed)
        answers.clear()
        self._postponed.clear()
        self._plan = None
        self._restart_count = 0
        if self._state.is_dirty:
            self._shared.schedule(self._owner)
        return transition

    def _close_watch(self, query_id: int) -> None:
        watch = self._watches.pop(query_id, None)
        if watch is not None:
            watch.close()

    def _retry(self) -> None:
        self._retry_timer = None
        self.invalidate()

    def invalidate(self) -> None:
        """Something that a query has read may have changed."""
        self._state.invalidate()
        self._shared.schedule(self._owner)

    def _own_key(self, query: LiveQuery) -> QueryKey:
        """The key of a result that may depend on the caller."""
        add = query.add
        return QueryKey(
            path=add.udf_path,
            component=add.component_path or "",
            args_json=bytes(add.args).decode(),
            journal=query.journal,
            is_admin=self._identity is not None and is_admin(self._identity),
            identity_key=self.identity_key,
        )

    def may_ask(self, key: QueryKey) -> bool:
        """Between two identities the watches are still those of the former one."""
        identity = self._identity
        assert identity is not None, "who views has begun a transition"
        return key.is_admin == is_admin(identity) and key.identity_key in (None, self.identity_key)

    def make_call(self, key: QueryKey) -> FunctionCall:
        assert self._identity is not None
        return FunctionCall(
            path=key.path,
            component=key.component,
            args_json=key.args_json,
            identity=self._identity,
            caller=FunctionCaller.SYNC_WORKER,
            request_id=random_request_id(self._runtime),
            client_ip=self._client.client_ip,
            user_agent=self._client.user_agent,
        )


def _is_unavailable(answer: object) -> bool:
    return isinstance(answer, FenchelError) and answer.kind is ErrorKind.FEATURE_UNAVAILABLE
