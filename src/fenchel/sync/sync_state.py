"""What one connection has asked for and what it has been told: a state machine without clock, task
or socket.

The worker feeds messages and results in and asks what is next. Versions count messages (client-
protocol 3.6):
`received` runs ahead, `applied` is what `queries` reflects, `sent` is the end version of the last
Transition.

    ModifyQuerySet ──▶ pending ──begin_transition──▶ queries ──finish_transition──▶ sent
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from fenchel.application import QueryRun
from fenchel.auth import Anonymous, Identity
from fenchel.database import Token
from fenchel.documents import Timestamp, decode_timestamp, encode_timestamp
from fenchel.errors import ErrorKind, FenchelError, bad_request, internal_error
from fenchel.sync.client_results import failed_result
from fenchel.sync.protocol import (
    Connect,
    ModifyQuerySet,
    QueryAdd,
    QueryFailed,
    QueryModification,
    QueryRemove,
    QueryRemoved,
    QueryUpdated,
    StateVersion,
    Transition,
)

# Unapplied ModifyQuerySet messages of one connection; a client that sends more does not wait for
# answers.
PENDING_MODIFICATIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Version:
    """Three counters that never decrease on one connection."""

    query_set: int
    identity: int
    ts: Timestamp

    def encode(self) -> StateVersion:
        return StateVersion(
            query_set=self.query_set, identity=self.identity, ts=encode_timestamp(self.ts)
        )


@dataclass(slots=True, kw_only=True)
class LiveQuery:
    """One subscribed query.

    journal      start: the client's; replaced by every run.
    token        start: None (must run); set by a run or a refresh; None again when the identity
    changes.
    fingerprint  start: None (nothing sent); set when a result goes into a Transition.
    """

    add: QueryAdd
    journal: str | None
    token: Token | None = None
    fingerprint: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryWork:
    """One query of a transition: keep its result if `token` is still valid at the end ts, else run
    it.
    """

    query_id: int
    add: QueryAdd
    journal: str | None
    token: Token | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedQuery:
    """A query whose request itself is wrong, say its path: it failed without reading anything."""

    error: FenchelError
    request_id: str


# It ran, or its last result still holds at the ts of the token, or it cannot run.
QueryOutcome = QueryRun | Token | RejectedQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionPlan:
    """All queries of the connection, to be brought to `end.ts` under `identity`."""

    start: Version
    end: Version
    identity: Identity
    removed: tuple[int, ...]
    work: tuple[QueryWork, ...]
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
        self.sent = Version(0, 0, Timestamp(0))
        self._query_set_received = 0
        self._query_set_applied = 0
        self._identity_received = 0
        self._ids_received: set[int] = set()
        self._pending: list[ModifyQuerySet] = []
        self._queries: dict[int, LiveQuery] = {}
        self._removed: list[int] = []
        self._plan: TransitionPlan | None = None
        # A response was queued that no plan has taken up: some Transition must follow it (3.10).
        self._owes_transition = False
        # No Transition may end before the newest commit that a queued MutationResponse reported.
        self._response_ts = Timestamp(0)
        # While a mutation runs: its commit will be later than this, so a Transition up to here
        # cannot
        # contain it and may overtake its response.
        self._ts_before_mutation: Timestamp | None = None

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
            query.token = None
        self.is_dirty = True

    def invalidate(self) -> None:
        """Something that a query has read may have changed."""
        self.is_dirty = True

    def begin_mutation(self, *, latest_ts: Timestamp) -> None:
        """A mutation is about to run; until it ends, Transitions stay at or before `latest_ts`.

        Without this a Transition could show its effects before its response was sent (section 7).
        """
        assert self._ts_before_mutation is None, "mutations run one at a time"
        assert latest_ts >= self._response_ts
        self._ts_before_mutation = latest_ts

    def finish_mutation(self, ts: Timestamp | None) -> None:
        """Its response has been queued; `ts` is its commit, or None. A Transition must follow
        (3.10).
        """
        assert self._ts_before_mutation is not None
        self._ts_before_mutation = None
        if ts is not None:
            self._response_ts = max(self._response_ts, ts)
        self._owes_transition = True
        self.is_dirty = True

    def finish_action(self) -> None:
        """The response of an action has been queued; a Transition follows like the reference's
        (3.11).
        """
        self._owes_transition = True
        self.is_dirty = True

    @property
    def is_transition_due(self) -> bool:
        return self.is_dirty and self._plan is None

    def begin_transition(self, *, latest_ts: Timestamp) -> TransitionPlan:
        """Fold everything received into one step and say what has to be looked at."""
        assert self._plan is None, "one transition at a time"
        self.is_dirty = False
        self._apply_pending()
        ts = latest_ts if self._ts_before_mutation is None else self._ts_before_mutation
        ts = max(ts, self.sent.ts)
        assert ts >= self._response_ts
        self._plan = TransitionPlan(
            start=self.sent,
            end=Version(self._query_set_applied, self._identity_received, ts),
            identity=self.identity,
            removed=tuple(self._removed),
            work=tuple(_work(query_id, query) for query_id, query in self._queries.items()),
            answers_request=self._owes_transition,
        )
        self._owes_transition = False
        return self._plan

    def _apply_pending(self) -> None:
        for message in self._pending:
            for modification in message.modifications:
                match modification:
                    case QueryAdd():
                        self._queries[modification.query_id] = LiveQuery(
                            add=modification, journal=modification.journal
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

    def finish_transition(self, outcomes: Mapping[int, QueryOutcome]) -> Transition | None:
        """The message to send, or None if there is nothing that the client does not know.

        `outcomes` has one entry for each query of the plan.
        """
        plan = self._plan
        assert plan is not None
        assert outcomes.keys() == {work.query_id for work in plan.work}
        self._plan = None
        self._removed.clear()
        modifications: list[QueryModification] = [
            QueryRemoved(query_id=query_id) for query_id in plan.removed
        ]
        is_current_identity = plan.end.identity == self._identity_received
        for query_id, outcome in outcomes.items():
            query = self._queries[query_id]
            if _take_outcome(query, outcome):
                modifications.append(_encode_outcome(query_id, outcome))
            if not is_current_identity:
                query.token = None
        if not (modifications or plan.answers_request or _has_news(plan)):
            return None
        self.sent = plan.end
        return Transition(
            start_version=plan.start.encode(),
            end_version=plan.end.encode(),
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


def raw_or_unset(value_json: str | None) -> msgspec.Raw | msgspec.UnsetType:
    """Error data: absent unless there is some, since clients look at its presence."""
    return msgspec.UNSET if value_json is None else msgspec.Raw(value_json.encode())


def _work(query_id: int, query: LiveQuery) -> QueryWork:
    return QueryWork(query_id=query_id, add=query.add, journal=query.journal, token=query.token)


def _take_outcome(query: LiveQuery, outcome: QueryOutcome) -> bool:
    """Remember what became of a query; True if the client has not seen that yet."""
    match outcome:
        case QueryRun():
            query.token = outcome.token
            query.journal = outcome.journal
            fingerprint = outcome.fingerprint
        case RejectedQuery():
            query.token = None
            fingerprint = str(outcome.error).encode()
        case _:
            query.token = outcome
            return False
    is_new = fingerprint != query.fingerprint
    query.fingerprint = fingerprint
    return is_new


def _encode_outcome(query_id: int, outcome: QueryOutcome) -> QueryUpdated | QueryFailed:
    """The modification that shows the outcome; a value text is spliced in as it is."""
    if isinstance(outcome, RejectedQuery):
        result = failed_result(outcome.error, outcome.request_id)
        journal = None
    else:
        assert isinstance(outcome, QueryRun), "a result that still holds is not sent again"
        result, journal = outcome.result, outcome.journal
    log_lines = tuple(line.pretty for line in result.log_lines)
    if result.is_success:
        return QueryUpdated(
            query_id=query_id,
            value=msgspec.Raw(result.value_json.encode()),
            log_lines=log_lines,
            journal=journal,
        )
    return QueryFailed(
        query_id=query_id,
        error_message=result.error_message,
        log_lines=log_lines,
        journal=journal,
        error_data=raw_or_unset(result.error_data_json),
    )


def _has_news(plan: TransitionPlan) -> bool:
    return (plan.start.query_set, plan.start.identity) != (
        plan.end.query_set,
        plan.end.identity,
    )
