"""The state machine under random messages, commits and answers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fenchel.auth import Admin
from fenchel.documents import Timestamp
from fenchel.sync.protocol import QueryRemove
from fenchel.sync.sync_state import SyncState, TransitionPlan, version_at
from tests.sync.steps import FakeWatch, add, answer_all, finish, modify


class SyncStateMachine(RuleBasedStateMachine):
    """Random clients against random commits. The model: what was promised, and what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SyncState()
        self.version = 0
        self.identity = 0
        self.ids: set[int] = set()
        self.now = 100
        self.plan: TransitionPlan | None = None
        self.end = version_at(0, 0, Timestamp(0)).encoded
        self.is_mutating = False
        self.committed: Timestamp | None = None
        self.promised: int | None = None
        # What the open plan answers.
        self.answering: int | None = None

    @rule(query_id=st.integers(0, 3))
    def toggle_query(self, query_id: int) -> None:
        known = query_id in self.ids
        change = QueryRemove(query_id=query_id) if known else add(query_id)
        self.state.modify_query_set(modify(self.version, change))
        self.ids ^= {query_id}
        self.version += 1

    @rule()
    def authenticate(self) -> None:
        self.state.check_authenticate(self.identity)
        self.state.authenticate(Admin())
        self.identity += 1

    @rule()
    def commit_elsewhere(self) -> None:
        self.now += 1
        for query in self.state._queries.values():
            if isinstance(query.watch, FakeWatch):
                query.watch.is_valid = False
        self.state.invalidate()

    @precondition(lambda self: not self.is_mutating)
    @rule()
    def begin_mutation(self) -> None:
        self.state.begin_mutation()
        self.is_mutating = True

    @precondition(lambda self: self.is_mutating and self.committed is None)
    @rule()
    def commit_mutation(self) -> None:
        self.now += 1
        self.committed = Timestamp(self.now)
        self.state.commit_mutation(self.committed)

    @precondition(lambda self: self.is_mutating)
    @rule()
    def finish_mutation(self) -> None:
        self.state.finish_mutation(self.committed)
        self.is_mutating = False
        self.promised = max(self.promised or 0, self.committed or 0)
        self.committed = None

    @precondition(lambda self: self.plan is None and self.state.is_transition_due)
    @rule()
    def begin(self) -> None:
        self.plan = self.state.begin_transition(latest_ts=Timestamp(self.now))
        self.answering, self.promised = self.promised, None
        assert self.committed is None, "the response comes first"

    @precondition(lambda self: self.plan is not None)
    @rule(is_abandoned=st.booleans(), value=st.integers(0, 2))
    def finish(self, is_abandoned: bool, value: int) -> None:
        plan, self.plan = self.plan, None
        assert plan is not None
        answering, self.answering = self.answering, None
        if is_abandoned:
            self.state.abandon_transition()
            if answering is not None:
                self.promised = max(self.promised or 0, answering)
            return
        sent = finish(self.state, answer_all(plan, value))
        if answering is not None:
            assert sent is not None
            assert plan.end.ts >= answering
        if sent is not None:
            assert sent.start_version == self.end
            self.end = sent.end_version

    @invariant()
    def the_state_is_sound(self) -> None:
        self.state.check_invariants()
        assert self.promised is None or self.state.is_dirty


SyncStateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestSyncStateMachine = SyncStateMachine.TestCase
