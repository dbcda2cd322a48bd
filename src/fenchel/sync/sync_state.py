"""What one connection has asked for and what it has been told: a state machine without clock, task
or socket.

The worker feeds messages and results in and asks what is next. Versions count messages (client-
protocol 3.6):
`received` runs ahead, `applied` is what `queries` reflects, `sent` is the end version of the last
Transition.

    ModifyQuerySet ──▶ pending ──begin_transition──▶ queries ──finish_transition──▶ sent
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import msgspec

from fenchel.auth import Anonymous, Identity
from fenchel.documents import Timestamp, decode_timestamp, encode_timestamp
from fenchel.errors import ErrorKind, FenchelError, bad_request, internal_error
from fenchel.sync.protocol import (
    Connect,
    EncodedModification,
    ModifyQuerySet,
    QueryAdd,
    QueryRemove,
    StateVersion,
    Transition,
    encode_removal,
)

# Unapplied ModifyQuerySet messages of one connection; a client that sends more does not wait for
# answers.
PENDING_MODIFICATIONS_MAX = 10_000


class Version(msgspec.Struct, frozen=True):
    """Three counters that never decrease on one connection, and how the client reads them."""

    query_set: int
    identity: int
    ts: Timestamp
    encoded: StateVersion


@lru_cache(maxsize=256)
def version_at(query_set: int, identity: int, ts: Timestamp) -> Version:
    """Most clients of one commit are told the same."""
    encoded = StateVersion(query_set=query_set, identity=identity, ts=encode_timestamp(ts))
    return Version(query_set, identity, ts, encoded)


class Watch(Protocol):
    """Somebody who notices when the newest known result of a query no longer holds."""

    def is_latest(self, fingerprint: bytes | None) -> bool:
        """Whether it is that of the result at the latest timestamp."""
        ...


@dataclass(slots=True, kw_only=True)
class LiveQuery:
    """One subscribed query.

    journal      start: the client's; replaced by every answer.
    watch        start: None (must run); set by an answer; None again when the identity changes.
    fingerprint  start: None (nothing sent); set when an answer goes into a Transition.
    """

    query_id: int
    add: QueryAdd
    journal: str | None
    watch: Watch | None = None
    fingerprint: bytes | None = None


class QueryAnswer(Protocol):
    """The outcome of one query at the end ts of a plan."""

    @property
    def modification(self) -> EncodedModification: ...

    @property
    def fingerprint(self) -> bytes: ...

    @property
    def journal(self) -> str | None: ...


class TransitionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to bring all queries of the connection to `end.ts` under `identity`.

    `work` are the queries that need an answer at that time.
    """

    start: Version
    end: Version
    identity: Identity
    removed: tuple[int, ...]
    work: tuple[LiveQuery, ...]
    answers_request: bool


class SyncState:
    """Invariant: sent <= applied <= received in every counter; at most one plan is open.

    session_id            start: None; set by Connect, which may never come.
    client_clock_skew_ms  start: None; set by a Connect that tells the client's time.
    identity              start: Anonymous; replaced by every Authenticate.
    is_dirty              start: False; set by anything that a Transition must reflect; cleared by
                          begin_transition, set again by abandon_transition.
    """

    def __init__(self) -> None:
        self.session_id: str | None = None
        self.client_clock_skew_ms: int | None = None
        self.identity: Identity = Anonymous()
        self.is_dirty = False
        self.sent = version_at(0, 0, Timestamp(0))
        self._query_set_received = 0
        self._query_set_applied = 0
        self._identity_received = 0
        self._ids_received: set[int] = set()
        self._pending: list[ModifyQuerySet] = []
        self._queries: dict[int, LiveQuery] = {}
        self._removed: list[int] = []
        self._plan: TransitionPlan | None = None
        # A response was written that no plan has taken up: some Transition must follow it (3.10).
        self._owes_transition = False
        # No Transition may end before the newest commit that a MutationResponse reported.
        self._response_ts = Timestamp(0)
        self._is_mutation_running = False
        # The running mutation is committed and visible: its response must precede any Transition
        # that begins now.
        self._is_response_due = False

    def connect(self, message: Connect, *, latest_ts: Timestamp, now_ms: int) -> None:
        """Raises: an internal error, retried by the client, if it has seen a later state than ours
        (3.13).
        """
        if self.session_id is not None:
            raise bad_request("WSMessageInvalidJson", "Connect was sent twice.")
        self.session_id = str(message.session_id)
        if message.client_ts:
            self.client_clock_skew_ms = round(message.client_ts) - now_ms
        if message.max_observed_timestamp is not None:
            observed_ts = decode_timestamp(message.max_observed_timestamp)
            if observed_ts > latest_ts:
                raise internal_error(
                    f"client has observed {observed_ts}, the database is at {latest_ts}"
                )

    def modify_query_set(self, message: ModifyQuerySet) -> None:
        """Take up additions and removals (3.7).

        Raises: BaseVersionMismatch; an internal error for an id that is added twice or removed
        unknown.
        """
        if message.base_version != self._query_set_received:
            raise bad_request(
                "BaseVersionMismatch",
                f"Base version {message.base_version} passed up doesn't match the current version "
                f"{self._query_set_received}.",
            )
        if message.new_version <= message.base_version:
            raise bad_request("BaseVersionMismatch", "A query set version must grow.")
        if len(self._pending) >= PENDING_MODIFICATIONS_MAX:
            raise FenchelError(
                ErrorKind.RATE_LIMITED,
                "TooManyQuerySetModifications",
                "Too many changes of the query set are waiting.",
            )
        for modification in message.modifications:
            self._receive_modification(modification)
        self._query_set_received = message.new_version
        self._pending.append(message)
        self.is_dirty = True

    def _receive_modification(self, modification: QueryAdd | QueryRemove) -> None:
        query_id = modification.query_id
        match modification:
            case QueryAdd():
                if query_id in self._ids_received:
                    raise internal_error(f"query {query_id} was added twice")
                self._ids_received.add(query_id)
            case QueryRemove():
                if query_id not in self._ids_received:
                    raise internal_error(f"unknown query {query_id} was removed")
                self._ids_received.remove(query_id)

    def check_authenticate(self, base_version: int) -> None:
        """Raises an internal error unless `base_version` counts the Authenticates so far (3.12)."""
        if base_version != self._identity_received:
            raise internal_error(
                f"identity base version {base_version}, expected {self._identity_received}"
            )

    def authenticate(self, identity: Identity) -> None:
        """From now on the client is `identity`; every query must run again (3.8)."""
        self.identity = identity
        self._identity_received += 1
        for query in self._queries.values():
            query.watch = None
        self.is_dirty = True

    def invalidate(self) -> None:
        """Something that a query has read may have changed."""
        self.is_dirty = True

    def begin_mutation(self) -> None:
        """A mutation is about to run. Until it commits, Transitions cannot contain its effects."""
        assert not self._is_mutation_running, "mutations run one at a time"
        self._is_mutation_running = True

    def commit_mutation(self, ts: Timestamp) -> None:
        """The running mutation's effects are visible from `ts` on, which is being published.

        No Transition begins before `finish_mutation`, or it would show them before the response
        (section 7).
        """
        assert self._is_mutation_running
        assert ts > self.sent.ts
        self._is_response_due = True

    def finish_mutation(self, ts: Timestamp | None) -> None:
        """Its response has been written; `ts` is its commit, or None. A Transition must follow
        (3.10).
        """
        assert self._is_mutation_running
        self._is_mutation_running = False
        self._is_response_due = False
        if ts is not None:
            self._response_ts = max(self._response_ts, ts)
        self._owes_transition = True
        self.is_dirty = True

    def finish_action(self) -> None:
        """The response of an action has been written; a Transition follows like the reference's
        (3.11).
        """
        self._owes_transition = True
        self.is_dirty = True

    @property
    def is_transition_due(self) -> bool:
        return self.is_dirty and self._plan is None and not self._is_response_due

    def begin_transition(self, *, latest_ts: Timestamp) -> TransitionPlan:
        """Fold everything received into one step and say which queries need an answer."""
        assert self._plan is None, "one transition at a time"
        assert not self._is_response_due, "the response comes first"
        self.is_dirty = False
        if self._pending:
            self._apply_pending()
        start = self.sent
        ts = max(latest_ts, start.ts)
        assert ts >= self._response_ts
        work = []
        for query in self._queries.values():
            watch = query.watch
            if watch is None or not watch.is_latest(query.fingerprint):
                work.append(query)
        plan = self._plan = TransitionPlan(
            start=start,
            end=version_at(self._query_set_applied, self._identity_received, ts),
            identity=self.identity,
            removed=tuple(self._removed),
            work=tuple(work),
            answers_request=self._owes_transition,
        )
        self._owes_transition = False
        return plan

    def _apply_pending(self) -> None:
        for message in self._pending:
            for modification in message.modifications:
                match modification:
                    case QueryAdd():
                        self._queries[modification.query_id] = LiveQuery(
                            query_id=modification.query_id,
                            add=modification,
                            journal=modification.journal,
                        )
                    case QueryRemove():
                        del self._queries[modification.query_id]
                        self._removed.append(modification.query_id)
        self._query_set_applied = self._query_set_received
        self._pending.clear()

    def abandon_transition(self) -> None:
        """The plan's timestamp is no longer readable; the next plan covers the same and more."""
        assert self._plan is not None
        self._owes_transition = self._owes_transition or self._plan.answers_request
        self._plan = None
        self.is_dirty = True

    def finish_transition(
        self,
        answers: Mapping[int, QueryAnswer],
        watches: Mapping[int, Watch],
        *,
        postponed: Set[int] = frozenset(),
    ) -> Transition | None:
        """The message to send, or None if there is nothing that the client does not know.

        `answers` has one entry for each query of the plan's work, except for those that are
        postponed: these stay as they are, and are in the work of each plan until they get one.
        `watches` has who watches it from now on for each that is answered, and perhaps others.
        """
        plan = self._plan
        assert plan is not None
        assert len(answers) + len(postponed) == len(plan.work)
        self._plan = None
        modifications = []
        if plan.removed:
            self._removed.clear()
            modifications += [encode_removal(query_id) for query_id in plan.removed]
        start, end = plan.start, plan.end
        is_current_identity = end.identity == self._identity_received
        for query in plan.work:
            query_id = query.query_id
            if query_id in postponed:
                continue
            answer, watch = answers[query_id], watches[query_id]
            fingerprint = answer.fingerprint
            if fingerprint != query.fingerprint:
                modifications.append(answer.modification.for_query(query_id))
            query.fingerprint = fingerprint
            query.journal = answer.journal
            query.watch = watch if is_current_identity else None
            if not (is_current_identity and watch.is_latest(fingerprint)):
                self.is_dirty = True
        if not (modifications or plan.answers_request or _has_news(plan)):
            return None
        self.sent = end
        return Transition(
            start_version=start.encoded,
            end_version=end.encoded,
            modifications=tuple(modifications),
        )

    def check_invariants(self) -> None:
        """Raises AssertionError if the state contradicts itself; for tests and simulation."""
        assert self.sent.query_set <= self._query_set_applied <= self._query_set_received
        assert self.sent.identity <= self._identity_received
        ids = set(self._queries)
        version = self._query_set_applied
        for message in self._pending:
            assert message.base_version == version
            version = message.new_version
            for modification in message.modifications:
                if isinstance(modification, QueryAdd):
                    ids.add(modification.query_id)
                else:
                    ids.discard(modification.query_id)
        assert version == self._query_set_received
        assert ids == self._ids_received
        assert not self._pending or self.is_dirty
        assert not self._owes_transition or self.is_dirty
        if self._plan is not None:
            assert self._plan.start == self.sent
            assert self._plan.end.ts >= self.sent.ts


def _has_news(plan: TransitionPlan) -> bool:
    return (plan.start.query_set, plan.start.identity) != (
        plan.end.query_set,
        plan.end.identity,
    )
