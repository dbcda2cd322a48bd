"""A query that several connections watch: who watches together is told when the new result is
there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fenchel.application import FunctionCall
from fenchel.auth import Admin
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime.settings import SyncSettings
from fenchel.sync.sync_state import SyncState, TransitionPlan
from tests.sync.client import Client, end_ts, let_run, open_client, see, values


async def test_each_takes_one_step_for_a_commit(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    await _subscribe_all(clients)
    begun: list[SyncState] = []

    def begin(state: SyncState, *, latest_ts: Timestamp) -> TransitionPlan:
        begun.append(state)
        return begin_transition(state, latest_ts=latest_ts)

    begin_transition = SyncState.begin_transition
    monkeypatch.setattr(SyncState, "begin_transition", begin)
    gate = _hold_queries(clients[0])
    clients[0].backend.commit()
    await let_run()
    assert begun == []
    gate.set()
    await see(clients, 1)
    assert len(begun) == len(set(begun)) == len(clients)


async def test_all_are_told_the_same_bytes(clients: list[Client]) -> None:
    await _subscribe_all(clients)
    clients[0].backend.commit()
    await see(clients, 1)
    assert len({id(client.socket.texts[-1]) for client in clients}) == 1


async def test_a_commit_meanwhile_is_in_what_they_are_told(clients: list[Client]) -> None:
    await _subscribe_all(clients)
    backend = clients[0].backend
    gate = _hold_queries(clients[0])
    backend.commit()
    await let_run()
    backend.commit()
    newest_ts = backend.commit(is_unrelated=True)
    gate.set()
    for client in clients:
        sent = await client.transition()
        assert (values(sent), end_ts(sent)) == ({0: 2}, newest_ts)


async def test_a_result_that_still_holds_is_shown_at_the_newest_timestamp(
    clients: list[Client],
) -> None:
    await _subscribe_all(clients)
    backend = clients[0].backend
    gate = _hold_queries(clients[0])
    backend.commit()
    await let_run()
    newest_ts = backend.commit(is_unrelated=True)
    gate.set()
    for client in clients:
        sent = await client.transition()
        assert (values(sent), end_ts(sent)) == ({0: 1}, newest_ts)
    assert len(backend.queries) == 2


async def test_after_a_failure_each_finds_out(clients: list[Client]) -> None:
    await _subscribe_all(clients)
    failures = [FenchelError(ErrorKind.OUT_OF_RETENTION, "OutOfRetention", "too old")]

    async def fail(_call: FunctionCall) -> None:
        if failures:
            raise failures.pop()

    clients[0].backend.before_query = fail
    clients[0].backend.commit()
    await see(clients, 1)


async def test_the_last_to_leave_ends_the_run(clients: list[Client]) -> None:
    await _subscribe_all(clients)
    _hold_queries(clients[0])
    clients[0].backend.commit()
    await let_run()
    for client in clients:
        client.modify({"type": "Remove", "queryId": 0})
        await client.transition()
    await let_run()
    assert not clients[0].backend.subscriptions
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("live query")]


async def test_many_are_not_run_ahead_of_those_who_ask() -> None:
    sync = replace(SyncSettings(), query_parallelism=1, shared_query_parallelism=2)
    async with (
        open_client(sync=sync) as client,
        open_client(sync=sync, shares_with=client) as other,
    ):
        for each in (client, other):
            each.modify(*(_distinct(number) for number in range(10)))
            assert len(values(await each.transition())) == 10
        gate = _hold_queries(client)
        client.backend.commit()
        await let_run()
        assert len(client.queries._flights) <= 4
        gate.set()
        for each in (client, other):
            shown: dict[int, int] = {}
            while len(shown) < 10:
                shown |= values(await each.transition())
            assert set(shown.values()) == {1}


async def test_nobody_runs_it_with_other_rights(clients: list[Client]) -> None:
    """One changes from admin to user while others go on watching as admins."""
    for client in clients:
        client.authenticate("key", "Admin")
    await _subscribe_all(clients)
    first, *others = clients
    gate = _hold_queries(first)
    first.authenticate("ann")
    await let_run()
    first.backend.commit()
    await let_run()
    gate.set()
    await see(others, 1)
    assert [call.identity for call in first.backend.queries if call.identity == Admin()][1:]


async def _subscribe_all(clients: list[Client]) -> None:
    for client in clients:
        client.subscribe(0)
    await see(clients, 0)


def _hold_queries(client: Client) -> asyncio.Event:
    """Queries run when the event is set."""
    gate = asyncio.Event()

    async def wait(_call: FunctionCall) -> None:
        await gate.wait()

    client.backend.before_query = wait
    return gate


def _distinct(number: int) -> dict[str, object]:
    return {
        "type": "Add",
        "queryId": number,
        "udfPath": "counter:get",
        "args": [{"number": number}],
    }
