"""Running queries through the cache (execution 7.1, 7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import msgspec

from fenchel.application.executions import Executions, Invocation
from fenchel.application.function_log import Completion, Execution
from fenchel.application.query_cache import CachedQuery, CacheMiss, QueryCache, QueryKey
from fenchel.application.scheduling import TransactionServices
from fenchel.auth import Identity, KeyBroker, Unknown, cache_key
from fenchel.database import Database
from fenchel.documents import Timestamp
from fenchel.errors import FenchelError
from fenchel.function_runner import AllowedVisibility, FunctionRunner
from fenchel.runtime import Runtime
from fenchel.udf import FunctionResult, QueryJournal, UdfType

_JOURNAL_PURPOSE = "queryJournal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """Call it to give a cached answer to the same call again, at the latest timestamp.

    True if the answer still holds; it is in the function log then. False if not: the query must be
    run again. Invariant: it is small, and keeps no outcome alive that the cache has given up.
    """

    key: QueryKey
    fingerprint: bytes
    execution: Execution
    completion: Completion
    cache: QueryCache
    database: Database
    executions: Executions

    def __call__(self) -> bool:
        try:
            cached = self.cache.repeat(self.key, self.database.latest_ts(), self.fingerprint)
        except FenchelError:
            return False  # The run will find out why the system fails.
        if cached is None:
            return False
        lines = cached.outcome.log_lines
        self.executions.record_repetition(self.execution, self.completion, lines)
        return True


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`repeat` comes with a success out of the cache."""

    query: CachedQuery
    repeat: Repetition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRunner:
    database: Database
    function_runner: FunctionRunner
    cache: QueryCache
    executions: Executions
    key_broker: KeyBroker
    services: TransactionServices
    runtime: Runtime

    async def run(
        self, invocation: Invocation, ts: Timestamp, journal: QueryJournal
    ) -> QueryAnswer:
        """The outcome at exactly `ts`. Raises FenchelError for failures of the system."""
        key = _cache_key(invocation, journal)
        run = partial(self._execute, invocation, ts, journal)
        answer = await self.cache.get(key, ts, run)
        if not answer.is_hit:
            return QueryAnswer(query=answer.query)
        return self._record_hit(invocation, key, answer.query)

    def find(
        self, invocation: Invocation, ts: Timestamp, journal: QueryJournal
    ) -> CachedQuery | None:
        """The outcome at exactly `ts` if it is known already. Raises as `run`."""
        query = self.cache.find(_cache_key(invocation, journal), ts)
        if query is not None:
            self.executions.record_hit(invocation, query.outcome)
        return query

    def _record_hit(self, invocation: Invocation, key: QueryKey, query: CachedQuery) -> QueryAnswer:
        outcome = query.outcome
        execution, completion = self.executions.record_hit(invocation, outcome)
        # A repetition knows neither caller nor request, which lines of the audit log may name.
        if not isinstance(outcome.result, FunctionResult) or outcome.audit_lines:
            return QueryAnswer(query=query)
        repeat = Repetition(
            key=key if outcome.observed_identity else key.without_identity,
            fingerprint=query.fingerprint,
            execution=execution,
            completion=completion,
            cache=self.cache,
            database=self.database,
            executions=self.executions,
        )
        return QueryAnswer(query=query, repeat=repeat)

    def seal_journal(self, journal: QueryJournal) -> str | None:
        """The text that a client hands back at the next run; None without a decision."""
        if journal.end_cursor is None:
            return None
        return self.key_broker.seal(_JOURNAL_PURPOSE, journal.end_cursor.encode())

    def open_journal(self, text: str | None) -> QueryJournal:
        """The journal in a client's text; one that was not sealed here counts as none."""
        if text is None:
            return QueryJournal()
        try:
            plain = self.key_broker.open(_JOURNAL_PURPOSE, text)
        except FenchelError as error:
            if not error.is_developer_error:
                raise
            return QueryJournal()
        return QueryJournal(end_cursor=plain.decode())

    async def _execute(
        self, invocation: Invocation, ts: Timestamp, journal: QueryJournal, miss: CacheMiss
    ) -> CachedQuery:
        created_seconds = self.runtime.clock.monotonic()
        transaction = self.database.begin(ts=ts)
        request = self.executions.begin(invocation, UdfType.QUERY, journal=journal)
        outcome = await self.function_runner.run_udf(
            request, transaction, self.services, visibility=invocation.visibility
        )
        assert transaction.is_read_only, f"query {invocation.path} wrote something"
        self.executions.record_outcome(
            invocation, request, outcome, transaction=transaction, miss=miss
        )
        return CachedQuery(
            outcome=outcome,
            original_ts=ts,
            token=self.database.token(transaction),
            created_seconds=created_seconds,
        )


def _cache_key(invocation: Invocation, journal: QueryJournal) -> QueryKey:
    return QueryKey(
        path=str(invocation.path),
        args_json=invocation.args_json,
        identity_key=_identity_key(invocation.identity),
        journal=journal.end_cursor,
        is_internal_allowed=invocation.visibility is AllowedVisibility.ALL,
    )


def _identity_key(identity: Identity) -> str:
    """A refused token is no caller: reading it raises, so it shares no outcome with anonymous
    calls.
    """
    return f"unknown:{identity.code}" if isinstance(identity, Unknown) else cache_key(identity)
