"""Many connections of one server: who shares a run, who does not, and what they see."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fenchel.application import FunctionCall, QueryRun
from fenchel.documents import Timestamp
from fenchel.errors import ErrorKind, FenchelError, overloaded
from fenchel.runtime.settings import SyncSettings
from tests.sync.client import Client, end_ts, let_run, open_client, see, values
from tests.sync.fakes import query_run


class TestSharing:
    async def test_one_run_serves_all_who_ask_the_same(self, clients: list[Client]) -> None:
        backend = clients[0].backend
        for client in clients:
            client.subscribe(0)
        await see(clients, 0)
        assert len(backend.queries) == 1
        assert len(backend.subscriptions) == 1
        backend.commit()
        await see(clients, 1)
        assert len(backend.queries) == 2
        assert len(backend.subscriptions) == 1

    async def test_each_is_told_under_its_own_name(self, clients: list[Client]) -> None:
        for number, client in enumerate(clients):
            client.subscribe(number, number + 10)
        for number, client in enumerate(clients):
            assert values(await client.transition()) == {number: 0, number + 10: 0}
        assert len(clients[0].backend.queries) == 1

    async def test_results_that_look_at_the_caller_are_each_callers_own(
        self, clients: list[Client]
    ) -> None:
        backend = clients[0].backend
        backend.is_personal = True
        for client, name in zip(clients, ["ann", "ben", "ann", "ben", "ann"], strict=True):
            client.authenticate(name)
            client.subscribe(0)
        for _ in range(2):
            for client, name in zip(clients, ["ann", "ben", "ann", "ben", "ann"], strict=True):
                while 0 not in (seen := values(await client.transition())):
                    pass
                assert f"|{name}" in seen[0][1]
            backend.commit()
        assert len(backend.subscriptions) == 0

    async def test_a_result_that_begins_to_look_at_the_caller_is_not_given_to_others(
        self, clients: list[Client]
    ) -> None:
        backend = clients[0].backend
        names = ["ann", "ben", "cid", "dan", "eve"]
        for client, name in zip(clients, names, strict=True):
            client.authenticate(name)
            client.subscribe(0)
        await see(clients, 0)
        assert len(backend.subscriptions) == 1
        backend.is_personal = True
        backend.commit()
        for client, name in zip(clients, names, strict=True):
            seen = values(await client.transition())
            assert f"|{name}" in seen[0][1]
        assert len(backend.subscriptions) == 5

    async def test_an_admin_shares_nothing_with_users(self, clients: list[Client]) -> None:
        clients[0].authenticate("key", "Admin")
        for client in clients:
            client.subscribe(0)
        await see(clients, 0)
        assert len(clients[0].backend.queries) == 2

    async def test_a_query_that_changes_its_name_keeps_its_subscription(
        self, clients: list[Client]
    ) -> None:
        client = clients[0]
        client.subscribe(0)
        await client.transition()
        (kept,) = client.backend.subscriptions
        removal = {"type": "Remove", "queryId": 0}
        addition = {"type": "Add", "queryId": 1, "udfPath": "counter:get", "args": [{}]}
        client.modify(removal, addition)
        assert values(await client.transition()) == {1: 0}
        assert client.backend.subscriptions == {kept}
        client.modify({**removal, "queryId": 1}, addition)
        await client.transition()
        client.backend.commit()
        assert values(await client.transition()) == {1: 1}

    async def test_the_last_to_leave_ends_the_subscription(self, clients: list[Client]) -> None:
        backend = clients[0].backend
        for client in clients:
            client.subscribe(0)
        await see(clients, 0)
        for client in clients:
            assert backend.subscriptions
            client.modify({"type": "Remove", "queryId": 0})
            await client.transition()
        assert not backend.subscriptions

    async def test_who_comes_later_asks_once_more_and_then_shares(
        self, clients: list[Client]
    ) -> None:
        backend = clients[0].backend
        for client in clients:
            client.subscribe(0)
            await client.transition()
        assert len(backend.subscriptions) == 1
        backend.commit()
        await see(clients, 1)
        assert len(backend.queries) == 5 + 1


class TestKnownResults:
    """What the query cache has is sent without a run and without waiting."""

    async def test_they_come_in_one_transition_whatever_their_number(self) -> None:
        async with open_client(sync=replace(SyncSettings(), query_parallelism=4)) as client:
            backend = client.backend
            backend.known = lambda call, ts: query_run(f"known {call.args_json}", ts=ts)
            client.modify(*(_distinct(number) for number in range(10)))
            seen = values(await client.transition())
            assert seen == {n: f'known [{{"number": {n}}}]' for n in range(10)}
            assert backend.queries == []

    async def test_other_connections_have_their_turns_meanwhile(self) -> None:
        async with (
            open_client(sync=replace(SyncSettings(), query_parallelism=1)) as client,
            open_client(shares_with=client) as other,
        ):
            asked: list[str] = []

            def know(call: FunctionCall, ts: Timestamp) -> QueryRun:
                asked.append(call.args_json)
                return query_run("known", ts=ts)

            client.backend.known = know
            client.modify(*(_distinct(number) for number in range(10)))
            other.modify(_distinct(99))
            await client.transition()
            assert asked.index('[{"number": 99}]') < 3

    async def test_one_look_is_enough_for_all_who_ask_in_the_same_turn(
        self, clients: list[Client]
    ) -> None:
        looks: list[Timestamp] = []

        def know(_call: FunctionCall, ts: Timestamp) -> QueryRun:
            looks.append(ts)
            return query_run("known", ts=ts)

        clients[0].backend.known = know
        for client in clients:
            client.subscribe(0)
        await see(clients, "known")
        count = len(looks)
        assert count < len(clients)
        clients[0].subscribe(1)
        await clients[0].transition()
        assert len(looks) == count + 1, "nothing is kept for a later turn"

    async def test_they_are_watched_like_others(self, clients: list[Client]) -> None:
        backend = clients[0].backend
        backend.known = lambda _call, ts: query_run("known", ts=ts)
        for client in clients:
            client.subscribe(0)
        await see(clients, "known")
        assert len(backend.subscriptions) == 1
        backend.known = lambda *_: None
        backend.commit()
        await see(clients, 1)
        assert len(backend.queries) == 1

    async def test_those_of_a_caller_are_not_given_to_others(self, clients: list[Client]) -> None:
        clients[0].backend.known = lambda call, ts: query_run(
            str(call.identity), ts=ts, is_identity_free=False
        )
        for client, name in zip(clients, "abcde", strict=True):
            client.authenticate(name)
            client.subscribe(0)
        for client, name in zip(clients, "abcde", strict=True):
            while 0 not in (seen := values(await client.transition())):
                pass
            assert f"|{name}" in seen[0]

    async def test_a_failure_to_look_is_found_out_by_the_run(self, clients: list[Client]) -> None:
        def fail(_call: FunctionCall, _ts: Timestamp) -> QueryRun:
            raise FenchelError(ErrorKind.OPERATIONAL, "Broken", "no")

        clients[0].backend.known = fail
        clients[0].subscribe(0)
        await see(clients[:1], 0)


class TestFailures:
    async def test_all_who_asked_end_with_the_failure(self, clients: list[Client]) -> None:
        async def fail(_call: FunctionCall) -> None:
            raise FenchelError(ErrorKind.OPERATIONAL, "DiskFull", "no space")

        clients[0].backend.before_query = fail
        for client in clients:
            client.subscribe(0)
        for client in clients:
            await client.ending()
            assert client.socket.closed == (1011, "InternalServerError")

    async def test_a_run_that_nobody_waits_for_is_cancelled(self, clients: list[Client]) -> None:
        cancelled = asyncio.Event()

        async def wait(_call: FunctionCall) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        clients[0].backend.before_query = wait
        for client in clients:
            client.subscribe(0)
        await let_run()
        for client in clients:
            assert not cancelled.is_set()
            client.socket.leave()
            await client.ending()
        await asyncio.wait_for(cancelled.wait(), 30)

    async def test_who_asks_in_the_moment_of_cancelling_gets_a_new_run(
        self, clients: list[Client]
    ) -> None:
        gone, late = clients[:2]
        gate = asyncio.Event()

        async def wait(_call: FunctionCall) -> None:
            await gate.wait()

        gone.backend.before_query = wait
        gone.subscribe(0)
        await let_run()
        gone.socket.leave()
        late.subscribe(0)
        await gone.ending()
        gate.set()
        assert values(await late.transition()) == {0: 0}

    async def test_a_connection_that_broke_does_not_stop_the_others(
        self, clients: list[Client]
    ) -> None:
        for client in clients:
            client.subscribe(0)
        await see(clients, 0)
        broken, *others = clients

        broken.socket.is_gone = True
        broken.socket.leave()
        broken.backend.commit()
        await see(others, 1)
        broken.backend.commit()
        await see(others, 2)

    async def test_a_slow_reader_does_not_slow_the_others(self, clients: list[Client]) -> None:
        slow, *others = clients
        for client in clients:
            client.subscribe(0)
        await see(clients, 0)
        slow.socket.accepts.clear()
        for value in (1, 2, 3):
            slow.backend.commit()
            await see(others, value)
        slow.socket.accepts.set()
        assert values(await slow.transition()) == {0: 3}


class TestMutations:
    async def test_a_slow_one_does_not_hold_back_updates_of_its_client(
        self, clients: list[Client]
    ) -> None:
        slow, other, *_ = clients
        gate = asyncio.Event()

        async def wait(call: FunctionCall) -> None:
            if call.path == "slow":
                await gate.wait()

        slow.backend.before_mutation = wait
        for client in (slow, other):
            client.subscribe(0)
        await see([slow, other], 0)
        slow.mutate(0, "slow")
        other.mutate(0)
        await see([slow, other], 1)
        gate.set()
        assert (await slow.socket.hear())["type"] == "MutationResponse"
        await see([slow, other], 2)


class TestTurns:
    async def test_runs_of_all_connections_together_are_bounded(self) -> None:
        sync = replace(SyncSettings(), shared_query_parallelism=3)
        running = most = 0

        async def count(_call: FunctionCall) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await let_run()
            running -= 1

        async with open_client(sync=sync) as client:
            client.backend.before_query = count
            client.modify(*(_distinct(number) for number in range(10)))
            assert len(values(await client.transition())) == 10
        assert most == 3

    async def test_who_waits_to_be_tried_again_holds_nobody_up(self) -> None:
        sync = replace(SyncSettings(), shared_query_parallelism=1)
        async with open_client(sync=sync) as client, open_client(shares_with=client) as other:
            gate = asyncio.Event()

            async def refuse_first(call: FunctionCall) -> None:
                if '"number": 0' in call.args_json and not gate.is_set():
                    raise overloaded("ExecuteFullError", "busy")

            async def wait(_seconds: float) -> None:
                await gate.wait()

            client.backend.before_query = refuse_first
            client.clock.sleep = wait  # type: ignore[assignment]
            client.modify(_distinct(0))
            await let_run()
            other.modify(_distinct(1))
            assert values(await other.transition()) == {1: 0}
            gate.set()
            assert values(await client.transition()) == {0: 0}

    async def test_runs_of_one_connection_are_bounded(self) -> None:
        async with open_client(sync=replace(SyncSettings(), query_parallelism=2)) as client:
            gate = asyncio.Event()

            async def wait(_call: FunctionCall) -> None:
                await gate.wait()

            client.backend.before_query = wait
            client.modify(*(_distinct(number) for number in range(5)))
            await let_run()
            assert len(client.backend.queries) == 2
            gate.set()
            assert len(values(await client.transition())) == 5

    async def test_distinct_queries_of_one_client_show_one_snapshot(
        self, clients: list[Client]
    ) -> None:
        """Others ask for some of them at other times; nobody gets a mixture."""
        backend = clients[0].backend

        async def commit_meanwhile(_call: FunctionCall) -> None:
            if len(backend.queries) % 7 == 0 and backend.ts < 300:
                backend.commit()

        backend.before_query = commit_meanwhile
        for number, client in enumerate(clients):
            client.modify(*(_distinct(query) for query in range(number, number + 4)))
        for client in clients:
            shown: dict[int, int] = {}
            while True:
                transition = await client.transition()
                shown |= values(transition)
                assert set(shown.values()) == {backend.values[end_ts(transition)]}
                if end_ts(transition) >= 300:
                    break


def _distinct(number: int) -> dict[str, object]:
    return {
        "type": "Add",
        "queryId": number,
        "udfPath": "counter:get",
        "args": [{"number": number}],
    }
