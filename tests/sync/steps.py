"""Steps of the state machine, and answers as the shared queries would give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from fenchel.documents import Timestamp
from fenchel.sync.protocol import (
    EncodedModification,
    ModifyQuerySet,
    QueryAdd,
    QueryFailed,
    QueryRemove,
    QueryRemoved,
    QueryUpdated,
    Transition,
)
from fenchel.sync.sync_state import SyncState, TransitionPlan

T1, T2, T3 = Timestamp(100), Timestamp(200), Timestamp(300)


def add(query_id: int, *, journal: str | None = None) -> QueryAdd:
    return QueryAdd(
        query_id=query_id, udf_path="messages:list", args=msgspec.Raw(b"[{}]"), journal=journal
    )


def modify(base: int, *modifications: QueryAdd | QueryRemove) -> ModifyQuerySet:
    return ModifyQuerySet(base_version=base, new_version=base + 1, modifications=modifications)


@dataclass
class FakeWatch:
    """Somebody who notices at once what a test says."""

    fingerprint: bytes
    is_valid: bool = True

    def is_latest(self, fingerprint: bytes | None) -> bool:
        return self.is_valid and self.fingerprint == fingerprint


@dataclass(frozen=True)
class Answer:
    modification: EncodedModification
    fingerprint: bytes
    journal: str | None


def answer(value: Any = "v") -> Answer:
    update = QueryUpdated(
        query_id=0,
        value=msgspec.Raw(msgspec.json.encode(value)),
        log_lines=(),
        journal=f"journal {value}",
    )
    return Answer(EncodedModification(update), str(value).encode(), update.journal)


def answer_all(plan: TransitionPlan, value: Any = "v") -> dict[int, Answer]:
    return {query.query_id: answer(value) for query in plan.work}


def finish(
    state: SyncState, answers: dict[int, Answer], *, is_valid: bool = True
) -> Transition | None:
    """The end of a step; each query that was answered has a watch of its own."""
    watches = {number: FakeWatch(each.fingerprint, is_valid) for number, each in answers.items()}
    return state.finish_transition(answers, watches)


def changes(sent: Transition | None) -> list[QueryUpdated | QueryFailed | QueryRemoved]:
    """The modifications, as a client reads them."""
    assert sent is not None
    kind = QueryUpdated | QueryFailed | QueryRemoved
    return [msgspec.json.decode(bytes(change), type=kind) for change in sent.modifications]


def touch(state: SyncState, *query_ids: int) -> None:
    """A commit changes what some queries have read."""
    for query_id in query_ids:
        watch = state._queries[query_id].watch
        assert isinstance(watch, FakeWatch)
        watch.is_valid = False
    state.invalidate()


def transition(state: SyncState, ts: Timestamp, value: Any = "v") -> Transition | None:
    """One whole step in which every query runs and gives `value`."""
    return finish(state, answer_all(state.begin_transition(latest_ts=ts), value))


def subscribed(*query_ids: int) -> SyncState:
    """A state whose first Transition, at T1, showed some queries."""
    state = SyncState()
    state.modify_query_set(modify(0, *(add(query_id) for query_id in query_ids)))
    assert transition(state, T1) is not None
    return state
