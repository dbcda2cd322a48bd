"""One query that several connections watch: its key, its newest result, its watches, and the runs
that they wait for.

    commit ─▶ subscription ─▶ renewal ─▶ watches ─▶ viewers

Nothing here knows the other queries or how one is run; `shared_queries` does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fenchel.application import FunctionCall
from fenchel.database import Subscription, Token
from fenchel.documents import Timestamp
from fenchel.sync.protocol import EncodedModification


class QueryKey(NamedTuple):
    """What a result depends on besides the database.

    `identity_key` is None in keys of results that did not look at the caller.
    """

    path: str
    component: str
    args_json: str
    journal: str | None
    is_admin: bool
    identity_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedResult:
    """What a run gave to all who asked for it. `key` is what the next run will be asked with.

    `token` is None if the request itself was refused: the same request always will be.
    """

    key: QueryKey
    modification: EncodedModification
    fingerprint: bytes
    journal: str | None
    token: Token | None


class Connection(Protocol):
    """What is advanced in turns. `is_due` starts False and belongs to `SharedQueries`."""

    is_due: bool

    def advance(self) -> None:
        """Do what can be done without waiting. Handles its own failures."""
        ...


class Viewer(Protocol):
    """On whose behalf a query runs, and who is told that its newest known result has changed or no
    longer holds."""

    @property
    def identity_key(self) -> str: ...

    def may_ask(self, key: QueryKey) -> bool:
        """Whether what the viewer would see now is what `key` says."""
        ...

    def make_call(self, key: QueryKey) -> FunctionCall: ...

    def invalidate(self) -> None: ...


class Request:
    """One wish for an answer. `answer` starts None and is set once, before the owner is advanced.

    None instead of a result means: the run depends on the caller after all, ask for your own.
    """

    __slots__ = ("_flight", "answer", "identity_key", "owner")

    def __init__(self, owner: Connection, identity_key: str, flight: Flight) -> None:
        self.owner = owner
        self.identity_key = identity_key
        self.answer: Answer | None = None
        self._flight = flight

    def cancel(self) -> None:
        """The answer is not wanted any more; the last one to leave ends the run."""
        flight = self._flight
        flight.requests.pop(self, None)
        if flight.is_open and not flight.requests:
            flight.is_open = False
            assert flight.task is not None
            flight.task.cancel()


class NotShared:
    """The result belongs to the caller on whose behalf it ran."""


NOT_SHARED = NotShared()
Answer = SharedResult | NotShared | BaseException


@dataclass(slots=True, kw_only=True)
class Flight:
    """A run in progress. `task` is set as soon as the flight exists. `is_open` becomes False when
    it ends, or is cancelled because nobody wants it: nobody may join it then."""

    is_open: bool = True
    requests: dict[Request, None] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class Renewals(Protocol):
    """Who keeps the shared queries, as one of them sees it."""

    def renew(self, query: SharedQuery) -> None:
        """It does not hold any more."""
        ...

    def finish_renewal(self, query: SharedQuery, answer: Answer) -> None: ...

    def forget(self, query: SharedQuery) -> None:
        """Nobody watches it any more."""
        ...


class SharedWatch:
    """One connection's interest in a shared query; see `Watch` of the state machine."""

    __slots__ = ("_query", "viewer")

    def __init__(self, query: SharedQuery, viewer: Viewer) -> None:
        self._query = query
        self.viewer = viewer

    def is_latest(self, fingerprint: bytes | None) -> bool:
        query = self._query
        if query.fingerprint != fingerprint:
            return False
        subscription = query.subscription
        return subscription is None or subscription.is_valid

    @property
    def key(self) -> QueryKey:
        return self._query.key

    def is_of(self, query: SharedQuery) -> bool:
        return self._query is query

    def shows(self, result: SharedResult) -> bool:
        return self._query.result is result

    def result_at(self, ts: Timestamp) -> SharedResult | None:
        """The newest known result if it is at hand and holds at `ts`, the latest timestamp."""
        query = self._query
        result = query.result
        if result is None or ts < query.ts:
            return None
        subscription = query.subscription
        return result if subscription is None or subscription.is_valid else None

    def close(self) -> None:
        """Stop watching. A second call does nothing."""
        self._query.remove(self)


class SharedQuery:
    """The newest known result of a query that somebody watches.

    Invariant: it has watches, and is in the table of its owner, from the first `add` to the last
    `remove`. It is advanced when its renewal is there, and again when all who were told had a turn.

    subscription  None for a request that is refused whatever the database holds.
    result        start: None; set by a renewal; None again as soon as all have had their turn, for
                  values may be large, or when `ts` passes it.
    renewal       start: None; set while the query runs again for all who watch it.
    """

    __slots__ = (
        "_owner",
        "fingerprint",
        "is_due",
        "key",
        "renewal",
        "result",
        "subscription",
        "ts",
        "watches",
    )

    def __init__(self, owner: Renewals, key: QueryKey) -> None:
        self.key = key
        self.ts = Timestamp(-1)
        self.fingerprint = b""
        self.subscription: Subscription | None = None
        self.watches: dict[SharedWatch, None] = {}
        self.result: SharedResult | None = None
        self.renewal: Request | None = None
        self.is_due = False
        self._owner = owner

    def add(self, viewer: Viewer) -> SharedWatch:
        watch = SharedWatch(self, viewer)
        self.watches[watch] = None
        return watch

    def remove(self, watch: SharedWatch) -> None:
        if self.watches.pop(watch, watch) is None and not self.watches:
            if self.subscription is not None:
                self.subscription.close()
            if self.renewal is not None:
                self.renewal.cancel()
                self.renewal = None
            self._owner.forget(self)

    def on_invalidate(self, _subscription: Subscription) -> None:
        self._owner.renew(self)

    def advance(self) -> None:
        answer = None if self.renewal is None else self.renewal.answer
        self.result = None
        if answer is not None:
            self.renewal = None
            self._owner.finish_renewal(self, answer)

    def tell(self) -> None:
        for watch in self.watches:
            watch.viewer.invalidate()
