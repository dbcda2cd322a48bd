"""The rules of client-protocol 3.6 to 3.13 on the pure state machine."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from fenchel.auth import Admin, Anonymous
from fenchel.documents import Timestamp, decode_timestamp, encode_timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.sync.protocol import (
    Connect,
    ModifyQuerySet,
    QueryAdd,
    QueryRemove,
    QueryRemoved,
    QueryUpdated,
)
from fenchel.sync.sync_state import (
    PENDING_MODIFICATIONS_MAX,
    SyncState,
    version_at,
)
from tests.sync.steps import (
    T1,
    T2,
    T3,
    FakeWatch,
    add,
    answer,
    answer_all,
    changes,
    finish,
    modify,
    subscribed,
    touch,
    transition,
)

SESSION = UUID("3c96bca9-a4e4-4da8-8d91-0f82b34e8701")


def connect(**fields: Any) -> Connect:
    return Connect(session_id=SESSION, connection_count=0, **fields)


class TestConnect:
    """3.4, 3.13."""

    def test_session_and_clock_skew_are_remembered(self) -> None:
        state = SyncState()
        state.connect(connect(client_ts=1_500.0), latest_ts=T1, now_ms=1_200)
        assert state.session_id == str(SESSION)
        assert state.client_clock_skew_ms == 300

    def test_without_a_client_time_there_is_no_skew(self) -> None:
        for fields in ({}, {"client_ts": 0.0}):
            state = SyncState()
            state.connect(connect(**fields), latest_ts=T1, now_ms=1_200)
            assert state.client_clock_skew_ms is None

    def test_a_client_may_have_seen_exactly_the_present(self) -> None:
        observed = encode_timestamp(T1)
        SyncState().connect(connect(max_observed_timestamp=observed), latest_ts=T1, now_ms=0)

    def test_a_client_that_has_seen_the_future_is_refused_with_a_retryable_error(self) -> None:
        message = connect(max_observed_timestamp=encode_timestamp(T2))
        with pytest.raises(FenchelError) as caught:
            SyncState().connect(message, latest_ts=T1, now_ms=0)
        assert caught.value.kind is ErrorKind.OPERATIONAL

    def test_a_second_connect_violates_the_protocol(self) -> None:
        state = SyncState()
        state.connect(connect(), latest_ts=T1, now_ms=0)
        with pytest.raises(FenchelError, match="WSMessageInvalidJson"):
            state.connect(connect(), latest_ts=T1, now_ms=0)

    def test_everything_works_without_connect(self) -> None:
        assert subscribed(0).session_id is None


class TestVersions:
    """3.6."""

    def test_a_connection_starts_at_zero(self) -> None:
        state = SyncState()
        state.modify_query_set(modify(0))
        first = transition(state, T1)
        assert first is not None
        assert first.start_version == version_at(0, 0, Timestamp(0)).encoded
        assert first.end_version == version_at(1, 0, T1).encoded

    def test_each_transition_starts_where_the_last_one_ended(self) -> None:
        state = subscribed(0)
        state.modify_query_set(modify(1, add(1)))
        second = transition(state, T2)
        assert second is not None
        assert second.start_version == version_at(1, 0, T1).encoded

    def test_several_messages_are_folded_into_one_transition(self) -> None:
        state = SyncState()
        state.modify_query_set(modify(0, add(0)))
        state.authenticate(Admin())
        state.modify_query_set(modify(1, add(1)))
        folded = transition(state, T1)
        assert folded is not None
        assert folded.end_version == version_at(2, 1, T1).encoded
        assert len(folded.modifications) == 2

    def test_time_never_goes_back(self) -> None:
        state = subscribed(0)
        touch(state, 0)
        assert state.begin_transition(latest_ts=Timestamp(50)).end.ts == T1


class TestQuerySet:
    """3.7."""

    def test_a_wrong_base_version_violates_the_protocol(self) -> None:
        with pytest.raises(FenchelError) as caught:
            SyncState().modify_query_set(modify(1))
        assert caught.value.code == "BaseVersionMismatch"
        assert caught.value.kind is ErrorKind.BAD_REQUEST

    def test_a_version_that_does_not_grow_violates_the_protocol(self) -> None:
        standstill = ModifyQuerySet(base_version=0, new_version=0, modifications=())
        with pytest.raises(FenchelError, match="BaseVersionMismatch"):
            SyncState().modify_query_set(standstill)

    @pytest.mark.parametrize("second", [add(0), QueryRemove(query_id=7)])
    def test_adding_twice_or_removing_the_unknown_is_an_internal_error(
        self, second: QueryAdd | QueryRemove
    ) -> None:
        state = SyncState()
        state.modify_query_set(modify(0, add(0)))
        with pytest.raises(FenchelError) as caught:
            state.modify_query_set(modify(1, second))
        assert caught.value.kind is ErrorKind.OPERATIONAL

    def test_an_empty_modification_is_answered_too(self) -> None:
        state = SyncState()
        state.modify_query_set(modify(0))
        assert state.is_transition_due
        assert transition(state, T1) is not None

    def test_a_removed_query_is_reported_and_not_run_again(self) -> None:
        state = subscribed(0, 1)
        state.modify_query_set(modify(1, QueryRemove(query_id=0)))
        touch(state, 0, 1)
        plan = state.begin_transition(latest_ts=T2)
        assert [work.query_id for work in plan.work] == [1]
        sent = finish(state, answer_all(plan))
        assert changes(sent) == [QueryRemoved(query_id=0)]

    def test_a_query_added_and_removed_before_a_transition_never_runs(self) -> None:
        state = SyncState()
        state.modify_query_set(modify(0, add(0)))
        state.modify_query_set(modify(1, QueryRemove(query_id=0)))
        assert state.begin_transition(latest_ts=T1).work == ()

    def test_an_id_may_be_used_again_after_its_removal(self) -> None:
        state = subscribed(0)
        state.modify_query_set(modify(1, QueryRemove(query_id=0), add(0)))
        sent = transition(state, T2)
        assert [type(change) for change in changes(sent)] == [QueryRemoved, QueryUpdated]

    def test_a_client_that_never_waits_is_refused(self) -> None:
        state = SyncState()
        for version in range(PENDING_MODIFICATIONS_MAX):
            state.modify_query_set(modify(version))
        with pytest.raises(FenchelError) as caught:
            state.modify_query_set(modify(PENDING_MODIFICATIONS_MAX))
        assert caught.value.kind is ErrorKind.RATE_LIMITED


class TestTransitions:
    """3.8."""

    def test_a_new_query_has_to_run(self) -> None:
        state = SyncState()
        state.modify_query_set(modify(0, add(0, journal="j")))
        (work,) = state.begin_transition(latest_ts=T1).work
        assert work.watch is None
        assert work.journal == "j"

    def test_only_what_was_touched_runs_again_with_its_newest_journal(self) -> None:
        state = subscribed(0, 1)
        touch(state, 1)
        (work,) = state.begin_transition(latest_ts=T2).work
        assert work.query_id == 1
        assert work.watch is not None
        assert work.journal == "journal v"

    def test_a_newer_result_that_others_know_is_asked_for(self) -> None:
        state = subscribed(0)
        watch = state._queries[0].watch
        assert isinstance(watch, FakeWatch)
        watch.fingerprint = b"newer"
        state.invalidate()
        assert len(state.begin_transition(latest_ts=T2).work) == 1

    def test_a_result_that_is_old_when_it_is_sent_is_followed_by_another(self) -> None:
        state = subscribed(0)
        touch(state, 0)
        state.begin_transition(latest_ts=T2)
        finish(state, {0: answer("old")}, is_valid=False)
        assert state.is_transition_due

    def test_an_equal_result_is_not_sent_again(self) -> None:
        state = subscribed(0, 1)
        touch(state, 0, 1)
        state.begin_transition(latest_ts=T2)
        sent = finish(state, {0: answer("v"), 1: answer("new")})
        assert [change.query_id for change in changes(sent)] == [1]

    def test_nothing_is_sent_if_nothing_changed(self) -> None:
        state = subscribed(0)
        touch(state, 0)
        assert transition(state, T2) is None
        assert state.sent.ts == T1

    def test_only_one_transition_is_computed_at_a_time(self) -> None:
        state = subscribed(0)
        touch(state, 0)
        plan = state.begin_transition(latest_ts=T2)
        state.invalidate()
        assert not state.is_transition_due
        finish(state, answer_all(plan))
        assert state.is_transition_due, "what came meanwhile is looked at next"

    def test_an_abandoned_transition_is_made_up_for(self) -> None:
        state = subscribed(0, 1)
        state.modify_query_set(modify(1, QueryRemove(query_id=0)))
        state.begin_transition(latest_ts=T2)
        state.abandon_transition()
        assert state.is_transition_due
        sent = transition(state, T3)
        assert sent is not None
        assert QueryRemoved(query_id=0) in changes(sent)
        assert sent.end_version == version_at(2, 0, T3).encoded


class TestMutations:
    """3.10 and the order invariant of section 7."""

    def test_a_transition_follows_a_mutation_even_without_queries(self) -> None:
        state = SyncState()
        state.begin_mutation()
        state.finish_mutation(T2)
        sent = transition(state, T2)
        assert sent is not None
        assert sent.modifications == ()
        assert decode_timestamp(sent.end_version.ts) >= T2

    def test_a_transition_follows_a_failed_mutation(self) -> None:
        state = SyncState()
        state.begin_mutation()
        state.finish_mutation(None)
        assert transition(state, T1) is not None

    def test_a_transition_follows_an_action(self) -> None:
        state = SyncState()
        state.finish_action()
        assert transition(state, T1) is not None

    def test_while_a_mutation_runs_no_transition_can_contain_it(self) -> None:
        """Before its commit there is nothing to contain; afterwards the response comes first."""
        state = subscribed(0)
        state.begin_mutation()
        touch(state, 0)
        assert transition(state, T2, "of somebody else") is not None
        state.commit_mutation(T3)
        touch(state, 0)
        assert not state.is_transition_due
        state.finish_mutation(T3)
        assert state.is_transition_due

    def test_a_transition_that_has_begun_before_the_commit_may_overtake_the_response(self) -> None:
        state = subscribed(0)
        state.begin_mutation()
        touch(state, 0)
        plan = state.begin_transition(latest_ts=T2)
        state.commit_mutation(T3)
        sent = finish(state, answer_all(plan, "before"))
        assert sent is not None
        assert sent.end_version.ts == encode_timestamp(T2)

    def test_the_promise_of_a_transition_survives_one_that_began_before_the_response(self) -> None:
        state = subscribed(0)
        state.begin_mutation()
        touch(state, 0)
        plan = state.begin_transition(latest_ts=T2)
        state.finish_mutation(T2)
        assert finish(state, answer_all(plan)) is None
        following = transition(state, T2)
        assert following is not None
        assert following.end_version.ts == encode_timestamp(T2)

    def test_the_promise_survives_an_abandoned_transition(self) -> None:
        state = SyncState()
        state.finish_action()
        state.begin_transition(latest_ts=T1)
        state.abandon_transition()
        assert transition(state, T2) is not None


class TestAuthentication:
    """3.12."""

    def test_a_connection_starts_anonymous(self) -> None:
        assert SyncState().identity == Anonymous()

    def test_the_base_version_counts_the_accepted_messages(self) -> None:
        state = SyncState()
        state.check_authenticate(0)
        state.authenticate(Admin())
        state.check_authenticate(1)
        with pytest.raises(FenchelError) as caught:
            state.check_authenticate(0)
        assert caught.value.kind is ErrorKind.OPERATIONAL

    def test_a_transition_confirms_the_identity_even_without_queries(self) -> None:
        state = SyncState()
        state.authenticate(Admin())
        sent = transition(state, T1)
        assert sent is not None
        assert sent.end_version.identity == 1

    def test_an_identity_change_makes_every_query_run_again(self) -> None:
        state = subscribed(0, 1)
        state.authenticate(Admin())
        plan = state.begin_transition(latest_ts=T1)
        assert [work.watch for work in plan.work] == [None, None]
        assert plan.identity == Admin()

    def test_results_for_the_old_identity_are_not_kept(self) -> None:
        state = subscribed(0)
        touch(state, 0)
        plan = state.begin_transition(latest_ts=T2)
        state.authenticate(Admin())
        sent = finish(state, answer_all(plan, "old"))
        assert sent is not None
        assert sent.end_version.identity == 0
        (work,) = state.begin_transition(latest_ts=T2).work
        assert work.watch is None


class TestResults:
    """3.5."""

    def test_values_journals_and_logs_are_shown(self) -> None:
        state = SyncState()
        state.modify_query_set(modify(0, add(0)))
        sent = transition(state, T1, {"a": 1.5})
        assert sent is not None
        (update,) = changes(sent)
        assert isinstance(update, QueryUpdated)
        assert json.loads(bytes(update.value)) == {"a": 1.5}
        assert update.journal == "journal {'a': 1.5}"
        assert update.log_lines == ()
