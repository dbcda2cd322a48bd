"""Results of queries, kept as long as nothing they read has changed (execution 7.1).

A key names code path, arguments, caller and journal. Equal queries that arrive while one runs wait
for it. The cache knows nothing of functions: it is given a way to run and a way to refresh.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import force_setattr, replace

from fenchel.application.client_results import fingerprint
from fenchel.database import Database, Token
from fenchel.documents import Timestamp
from fenchel.errors import ConflictSource, ErrorKind, FenchelError
from fenchel.runtime import Deadlines, Runtime
from fenchel.udf import FunctionResult, UdfOutcome

# Bookkeeping of one entry beyond its texts: objects, read set, map slots.
_ENTRY_OVERHEAD_BYTES = 2_048


class QueryKey(NamedTuple):
    """What a query's outcome may depend on besides the database.

    `identity_key` is None in keys of outcomes that did not look at the caller. A tuple, because it
    is made and hashed for every call.
    """

    path: str
    args_json: str
    identity_key: str | None
    journal: str | None
    is_internal_allowed: bool

    @property
    def without_identity(self) -> QueryKey:
        return QueryKey(self.path, self.args_json, None, self.journal, self.is_internal_allowed)


class CachedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome, the same at every timestamp in [original_ts, token.ts].

    `_fingerprint` is filled at the first use of `fingerprint`, which few callers look at.
    """

    outcome: UdfOutcome
    original_ts: Timestamp
    token: Token
    created_seconds: float
    _fingerprint: bytes | None = None

    @property
    def fingerprint(self) -> bytes:
        """Equal for outcomes between which no client can tell a difference."""
        found = self._fingerprint
        if found is None:
            found = fingerprint(self.outcome)
            force_setattr(self, "_fingerprint", found)
        return found

    @property
    def size_bytes(self) -> int:
        lines = sum(len(message) for line in self.outcome.log_lines for message in line.messages)
        result = self.outcome.result
        value_bytes = len(result.value_json) if isinstance(result, FunctionResult) else 0
        return _ENTRY_OVERHEAD_BYTES + value_bytes + lines


class MissReason(Enum):
    """UNKNOWN: it has not run, it failed, or it had to make room for others. CHANGED: a commit
    touched what it had read. EXPIRED: it saw the clock too long ago. PAST: asked for at a timestamp
    at which the known result did not hold yet. FORGOTTEN: the commits since then are not known any
    more.
    """

    UNKNOWN = "unknown"
    CHANGED = "changed"
    EXPIRED = "expired"
    PAST = "past"
    FORGOTTEN = "forgotten"


class CacheMiss(msgspec.Struct, frozen=True):
    """Why a query has to run; `change` is the first write that touched what it had read."""

    reason: MissReason
    change: ConflictSource | None = None


_UNKNOWN = CacheMiss(MissReason.UNKNOWN)
_EXPIRED = CacheMiss(MissReason.EXPIRED)
_PAST = CacheMiss(MissReason.PAST)
_FORGOTTEN = CacheMiss(MissReason.FORGOTTEN)
# Answers without a run: from what was stored, and from a run that somebody else had begun.
HIT = "hit"
SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryCacheStatistics:
    """`lookups` counts by HIT, SHARED and the reasons of misses since the process started."""

    lookups: Mapping[str, int]
    entry_count: int
    size_bytes: int


class CacheAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`is_hit` is False for the caller on whose behalf the query ran."""

    query: CachedQuery
    is_hit: bool


class _Flight:
    """A run at `ts` that goes on in the task of its first caller.

    `_landed` comes with the first other caller who waits. It gets the outcome or what the run
    raised; None if the first caller left, so that somebody else must run the query.
    """

    __slots__ = ("_landed", "ts")

    def __init__(self, ts: Timestamp) -> None:
        self.ts = ts
        self._landed: asyncio.Future[CachedQuery | None] | None = None

    async def wait(self) -> CachedQuery | None:
        """Raises what the run raises."""
        if self._landed is None:
            self._landed = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._landed)

    def land(self, query: CachedQuery | None) -> None:
        if self._landed is not None:
            self._landed.set_result(query)

    def fail(self, error: Exception) -> None:
        if self._landed is not None:
            self._landed.set_exception(error)


class QueryCache:
    """Invariant: `_size_bytes` is the sum over `_entries` of entry and key sizes, at most the
    limit. An entry that no longer holds stays until a new run replaces it, which it explains, or
    others need its room.
    """

    def __init__(self, database: Database, runtime: Runtime) -> None:
        self._database = database
        self._clock = runtime.clock
        self._bytes_max = runtime.settings.application.query_cache_bytes_max
        self._age_seconds_max = runtime.settings.application.query_cache_time_dependent_seconds_max
        isolate = runtime.settings.isolate
        self._run_seconds_max = isolate.execution_seconds_max
        self._deadlines = Deadlines(self._run_seconds_max)
        self._entries: OrderedDict[QueryKey, CachedQuery] = OrderedDict()
        self._flights: dict[QueryKey, _Flight] = {}
        self._size_bytes = 0
        self._lookups = dict.fromkeys((HIT, SHARED, *(reason.value for reason in MissReason)), 0)

    @property
    def statistics(self) -> QueryCacheStatistics:
        return QueryCacheStatistics(
            lookups=self._lookups, entry_count=len(self._entries), size_bytes=self._size_bytes
        )

    async def get(
        self,
        key: QueryKey,
        ts: Timestamp,
        run: Callable[[CacheMiss], Awaitable[CachedQuery]],
    ) -> CacheAnswer:
        """The query's outcome at exactly `ts`, from the cache, from a run in progress, or by `run`,
        which is told why.

        `run` must execute at `ts`. Raises what `run` raises; OVERLOADED if a shared run takes
        longer than any function may.
        """
        while True:
            cached = self.find(key, ts)
            if cached is not None:
                return CacheAnswer(query=cached, is_hit=True)
            flight = self._flights.get(key)
            is_first = flight is None or flight.ts > ts
            if flight is None or is_first:
                miss = self._explain_miss(key, ts)
                self._lookups[miss.reason.value] += 1
                landed: CachedQuery | None = await self._fly(key, ts, partial(run, miss))
            else:
                landed = await flight.wait()
            query = None if landed is None else self._at(landed, ts)
            if query is not None:
                self._lookups[SHARED] += not is_first
                return CacheAnswer(query=query, is_hit=not is_first)

    def find(self, key: QueryKey, ts: Timestamp) -> CachedQuery | None:
        """A stored outcome that holds at `ts`, for this caller or for all; None if the query has to
        run, or runs already."""
        found = self._find(key, ts)
        if found is None and key.identity_key is not None:
            found = self._find(key.without_identity, ts)
        if found is not None:
            self._lookups[HIT] += 1
        return found

    def repeat(self, key: QueryKey, ts: Timestamp, fingerprint: bytes) -> CachedQuery | None:
        """What is stored under exactly this key, if it holds at `ts` and has this fingerprint."""
        found = self._find(key, ts)
        if found is None or found.fingerprint != fingerprint:
            return None
        self._lookups[HIT] += 1
        return found

    def _find(self, key: QueryKey, ts: Timestamp) -> CachedQuery | None:
        entry = self._entries.get(key)
        if entry is None or self._is_too_old(entry):
            return None
        fresh = self._at(entry, ts)
        if fresh is not None:
            if fresh is not entry:
                self._entries[key] = fresh
            self._entries.move_to_end(key)
        return fresh

    def _explain_miss(self, key: QueryKey, ts: Timestamp) -> CacheMiss:
        """Why nothing that is stored holds at `ts`."""
        entry = self._entries.get(key)
        if entry is None and key.identity_key is not None:
            entry = self._entries.get(key.without_identity)
        if entry is None:
            return _UNKNOWN
        if self._is_too_old(entry):
            return _EXPIRED
        if ts < entry.original_ts:
            return _PAST
        try:
            change = self._database.find_change(entry.token, ts)
        except FenchelError as error:
            if error.kind is not ErrorKind.OUT_OF_RETENTION:
                raise
            return _FORGOTTEN
        return CacheMiss(MissReason.CHANGED, change)

    def check_invariants(self) -> None:
        total = sum(_cost(key, entry) for key, entry in self._entries.items())
        assert self._size_bytes == total, f"{self._size_bytes} != {total}"
        assert total <= self._bytes_max

    async def _fly(
        self, key: QueryKey, ts: Timestamp, run: Callable[[], Awaitable[CachedQuery]]
    ) -> CachedQuery:
        """Run, for everybody who asks for the same meanwhile."""
        flight = self._flights[key] = _Flight(ts)
        deadline = self._deadlines.start()
        try:
            with deadline:
                entry = await run()
        except Exception as error:
            if deadline.has_expired and isinstance(error, TimeoutError):
                error = self._overdue(key)
            flight.fail(error)
            raise error
        except BaseException:
            flight.land(None)
            raise
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
        flight.land(entry)
        if isinstance(entry.outcome.result, FunctionResult):
            self._store(key, entry)
        return entry

    def _overdue(self, key: QueryKey) -> FenchelError:
        text = f"{key.path} took longer than {self._run_seconds_max:g} s. Try again later."
        return FenchelError(ErrorKind.OVERLOADED, "QueryTimedOut", text)

    def _at(self, entry: CachedQuery, ts: Timestamp) -> CachedQuery | None:
        """The entry as seen at `ts`, or None if it does not hold there.

        The database is asked even if the token is as new: it refuses when it may have been
        overtaken (decision 0018).
        """
        if ts < entry.original_ts:
            return None
        try:
            token = self._database.refresh(entry.token, ts)
        except FenchelError as error:
            if error.kind is not ErrorKind.OUT_OF_RETENTION:
                raise
            return None
        if token is entry.token:
            return entry
        return None if token is None else replace(entry, token=token)

    def _is_too_old(self, entry: CachedQuery) -> bool:
        if not entry.outcome.observed_time:
            return False
        return self._clock.monotonic() - entry.created_seconds > self._age_seconds_max

    def _store(self, key: QueryKey, entry: CachedQuery) -> None:
        """Keep an outcome under the journal it was asked with and the one it produced."""
        if not entry.outcome.observed_identity:
            key = key.without_identity
        for journal in {key.journal, entry.outcome.journal.end_cursor}:
            self._insert(key if journal == key.journal else key._replace(journal=journal), entry)
        while self._size_bytes > self._bytes_max:
            self._drop(next(iter(self._entries)))

    def _insert(self, key: QueryKey, entry: CachedQuery) -> None:
        """Keep an entry, unless a newer one is known already: most callers ask for the present."""
        known = self._entries.get(key)
        if known is not None and known.original_ts > entry.original_ts:
            return
        self._drop(key)
        self._entries[key] = entry
        self._size_bytes += _cost(key, entry)

    def _drop(self, key: QueryKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size_bytes -= _cost(key, entry)


def _cost(key: QueryKey, entry: CachedQuery) -> int:
    return len(key.path) + len(key.args_json) + entry.size_bytes
