"""The live queries of all connections: who may see the same result shares one run and one
subscription.

    commit ─▶ subscription of a shared query ─▶ its renewal ─▶ its watches ─▶ connections, in turns
    connection ─▶ request(key, ts) ─▶ a run, joined by everybody who asks for the same ─▶ answers

Nothing here waits per client: a task exists for each run, and one callback advances connections.
Whoever watches together is told when the new result is there, so that each takes one step.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from fenchel.application import FunctionCall, QueryRun
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime import BackgroundTasks, Runtime
from fenchel.sync.backend import FunctionBackend
from fenchel.sync.client_results import encode_result, failed_result
from fenchel.sync.function_calls import QUERY_REFUSALS, QUERY_RETRIES_MAX, run_with_retries
from fenchel.sync.protocol import TransitionEncoder
from fenchel.sync.shared_query import (
    NOT_SHARED,
    Answer,
    Connection,
    Flight,
    QueryKey,
    Request,
    SharedQuery,
    SharedResult,
    SharedWatch,
    Viewer,
)

logger = logging.getLogger(__name__)


class SharedQueries:
    """`close` ends all runs; connections must be gone by then.

    Runs are keyed by query and timestamp, so that a connection gets all its queries at one.
    `_known` and `transitions` are empty between turns. `turn_ts` is the latest timestamp for who is
    advanced in a turn: nothing is published meanwhile.
    """

    def __init__(self, *, backend: FunctionBackend, runtime: Runtime) -> None:
        self._backend = backend
        self._runtime = runtime
        self._queries: dict[QueryKey, SharedQuery] = {}
        self._flights: dict[tuple[QueryKey, Timestamp], Flight] = {}
        self._tasks = BackgroundTasks()
        self._parallelism = runtime.settings.sync.shared_query_parallelism
        self._running = asyncio.Semaphore(self._parallelism)
        self._turn_seconds_max = runtime.settings.sync.turn_seconds_max
        self._due: deque[Connection] = deque()
        # What was found or encoded for one connection is good for the others of its turn.
        self.transitions = TransitionEncoder()
        self._known: dict[tuple[QueryKey, Timestamp], SharedResult] = {}
        self._is_turn_scheduled = False
        self.turn_ts = Timestamp(0)

    def __len__(self) -> int:
        return len(self._queries)

    async def close(self) -> None:
        await self._tasks.close()

    # Turns

    def schedule(self, connection: Connection) -> None:
        """Advance the connection soon, after those that are due already."""
        if connection.is_due:
            return
        connection.is_due = True
        self._due.append(connection)
        if not self._is_turn_scheduled:
            self._is_turn_scheduled = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Advance connections for a short while; other work of the process comes in between."""
        monotonic, due = self._runtime.clock.monotonic, self._due
        self.turn_ts = self._backend.latest_ts()
        end = monotonic() + self._turn_seconds_max
        try:
            while due and monotonic() < end:
                connection = due.popleft()
                connection.is_due = False
                connection.advance()
        finally:
            self._known.clear()
            self.transitions.clear()
            self._is_turn_scheduled = bool(due)
            if due:
                asyncio.get_running_loop().call_soon(self._take_turn)

    # Runs

    def request(
        self,
        key: QueryKey,
        ts: Timestamp,
        *,
        owner: Connection,
        viewer: Viewer,
    ) -> SharedResult | Request:
        """The result at exactly `ts` if it is known; else `owner` is advanced when it is there.

        `key` may be without the identity if the result is believed not to depend on it.
        """
        identity_key = viewer.identity_key
        flight = self._flights.get((key, ts))
        if flight is None or not flight.is_open:
            known = self._known.get((key, ts))
            if known is not None and _is_for(known, identity_key):
                return known
            call = viewer.make_call(key)
            known = self._find(key, ts, call, identity_key)
            if known is not None:
                self._known[key, ts] = known
                return known
            flight = self._flights[key, ts] = Flight()
            work = self._run(key, ts, flight, call, identity_key)
            flight.task = self._tasks.spawn(f"live query {key.path}", work)
            flight.task.add_done_callback(lambda _: self._land(key, ts, flight))
        request = Request(owner, identity_key, flight)
        flight.requests[request] = None
        return request

    def _find(
        self, key: QueryKey, ts: Timestamp, call: FunctionCall, identity_key: str
    ) -> SharedResult | None:
        """The result if the query cache has it: nobody needs to wait then."""
        try:
            run = self._backend.find_query(call, ts=ts, journal=key.journal)
        except FenchelError:
            return None  # The run will find out what is wrong.
        return None if run is None else _answered(key, run, identity_key)

    def _land(self, key: QueryKey, ts: Timestamp, flight: Flight) -> None:
        if self._flights.get((key, ts)) is flight:
            del self._flights[key, ts]

    async def _run(
        self, key: QueryKey, ts: Timestamp, flight: Flight, call: FunctionCall, identity_key: str
    ) -> None:
        result: SharedResult | BaseException
        try:
            result = await self._result(key, ts, call, identity_key)
        except Exception as error:  # noqa: BLE001 - each connection that asked ends with it
            result = error
        flight.is_open = False
        for request in flight.requests:
            request.answer = result if _may_see(result, request) else NOT_SHARED
            self.schedule(request.owner)
        flight.requests.clear()

    async def _result(
        self, key: QueryKey, ts: Timestamp, call: FunctionCall, identity_key: str
    ) -> SharedResult:
        async def attempt() -> QueryRun:
            # Who waits to be tried again leaves his place to others.
            async with self._running:
                return await self._backend.run_query(call, ts=ts, journal=key.journal)

        try:
            run = await run_with_retries(
                self._runtime, attempt, retries_max=QUERY_RETRIES_MAX, refusals=QUERY_REFUSALS
            )
        except FenchelError as error:
            if not error.is_developer_error or error.kind is ErrorKind.UNAUTHENTICATED:
                raise
            return _refused(key, call, error, identity_key)
        return _answered(key, run, identity_key)

    # Renewals

    def renew(self, query: SharedQuery) -> None:
        """Run a query again that no longer holds, and tell its watches when that is done.

        A single one is told at once, for it would not take fewer steps; and all while many queries
        run: a client with thousands of them must not get ahead of others.
        """
        if query.renewal is not None:
            return
        viewer = next(iter(query.watches)).viewer
        is_alone, is_full = len(query.watches) == 1, len(self._flights) >= self._parallelism
        if is_alone or is_full or not viewer.may_ask(query.key):
            query.tell()
            return
        asked = self.request(query.key, self._backend.latest_ts(), owner=query, viewer=viewer)
        if isinstance(asked, Request):
            query.renewal = asked
        else:
            self.finish_renewal(query, asked)

    def finish_renewal(self, query: SharedQuery, answer: Answer) -> None:
        """Tell all watches; a result that replaces the last one is at hand until they had their
        turn. Otherwise, after a failure too, each asks for itself."""
        if isinstance(answer, SharedResult) and answer.key == query.key:
            try:
                if self._replace(query, answer):
                    query.result = answer
            except FenchelError as error:
                logger.info("a live query is not watched code=%s", error.code)
        query.tell()
        self.schedule(query)

    # Watches

    def resolve(self, key: QueryKey) -> QueryKey:
        """The key without the caller, if it is known that the result does not depend on one."""
        shared_key = QueryKey(*key[:-1], None)
        return shared_key if shared_key in self._queries else key

    def watch(
        self, result: SharedResult, viewer: Viewer, *, former: SharedWatch | None
    ) -> SharedWatch:
        """From now on the viewer is told when the newest known result no longer holds.

        A result that is newer than what is known replaces it. `former` is the watch that this one
        takes the place of, in general the same. Raises: SubscriptionsWorkerFullError.
        """
        if former is not None and former.shows(result):
            return former
        query = self._queries.get(result.key)
        if query is None:
            query = SharedQuery(self, result.key)
            self._take(query, result)
            self._queries[result.key] = query
        else:
            self._replace(query, result)
        if former is None:
            return query.add(viewer)
        if former.is_of(query):
            return former
        watch = query.add(viewer)
        former.close()
        return watch

    def _replace(self, query: SharedQuery, result: SharedResult) -> bool:
        """Take a result that is newer than what is known; False if it is not."""
        is_newer = result.token is not None and result.token.ts > query.ts
        if is_newer:
            self._take(query, result)
        return is_newer

    def _take(self, query: SharedQuery, result: SharedResult) -> None:
        if result.token is not None:
            subscription = self._backend.subscribe(result.token, query.on_invalidate)
            if query.subscription is not None:
                query.subscription.close()
            query.subscription = subscription
            query.ts = result.token.ts
        query.fingerprint = result.fingerprint
        query.result = None

    def forget(self, query: SharedQuery) -> None:
        """Nobody watches it any more."""
        del self._queries[query.key]

    def check_invariants(self) -> None:
        """Raises AssertionError if the tables contradict themselves; for tests and simulation."""
        for key, query in self._queries.items():
            assert query.key == key
            assert query.watches


def _may_see(result: SharedResult | BaseException, request: Request) -> bool:
    if isinstance(result, BaseException):
        return True
    return _is_for(result, request.identity_key)


def _is_for(result: SharedResult, identity_key: str) -> bool:
    return result.key.identity_key in (None, identity_key)


def _answered(key: QueryKey, run: QueryRun, identity_key: str) -> SharedResult:
    return SharedResult(
        key=QueryKey(
            key.path,
            key.component,
            key.args_json,
            run.journal,
            key.is_admin,
            None if run.is_identity_free else identity_key,
        ),
        modification=encode_result(run.result, run.journal),
        fingerprint=run.read_fingerprint(),
        journal=run.journal,
        token=run.token,
    )


def _refused(
    key: QueryKey, call: FunctionCall, error: FenchelError, identity_key: str
) -> SharedResult:
    """The request itself is wrong, say its path: it failed without reading anything."""
    return SharedResult(
        key=key._replace(identity_key=identity_key),
        modification=encode_result(failed_result(error, call.request_id), None),
        fingerprint=str(error).encode(),
        journal=key.journal,
        token=None,
    )
