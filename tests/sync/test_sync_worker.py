"""One connection from end to end at the seams: messages in, messages out (client-protocol 3, 7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fenchel.application import FunctionCall
from fenchel.auth import Anonymous
from fenchel.documents import Timestamp, decode_timestamp, encode_timestamp
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime.settings import SyncSettings
from fenchel.sync import Authenticate
from fenchel.sync.function_calls import session_request_id
from tests.sync.client import CONNECT, SESSION, Client, end_ts, let_run, open_client, values
from tests.sync.fakes import JsonObject


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as opened:
        yield opened


class TestQueries:
    async def test_the_server_says_nothing_first(self, client: Client) -> None:
        await let_run()
        assert client.socket.heard == []

    async def test_a_subscription_is_answered_and_updated(self, client: Client) -> None:
        client.socket.say(CONNECT)
        client.subscribe(0)
        assert values(await client.transition()) == {0: 0}
        client.backend.commit()
        assert values(await client.transition()) == {0: 1}

    async def test_all_queries_of_a_transition_show_one_snapshot(self, client: Client) -> None:
        async def commit_between(_call: FunctionCall) -> None:
            client.backend.before_query = _pass
            client.backend.commit()

        client.backend.before_query = commit_between
        client.subscribe(0, 1, 2)
        assert values(await client.transition()) == {0: 0, 1: 0, 2: 0}
        assert values(await client.transition()) == {0: 1, 1: 1, 2: 1}

    async def test_the_newest_journal_is_used_for_the_next_run(self, client: Client) -> None:
        client.subscribe(0)
        await client.transition()
        client.backend.commit()
        await client.transition()
        assert client.backend.journals == [None, "journal at 100"]

    async def test_an_unrelated_commit_is_not_reported(self, client: Client) -> None:
        client.subscribe(0)
        await client.transition()
        client.backend.commit(is_unrelated=True)
        client.modify()
        assert (await client.transition())["modifications"] == []
        assert len(client.backend.queries) == 1

    async def test_a_removed_query_is_watched_no_more(self, client: Client) -> None:
        client.subscribe(0)
        await client.transition()
        client.modify({"type": "Remove", "queryId": 0})
        sent = await client.transition()
        assert sent["modifications"] == [{"type": "QueryRemoved", "queryId": 0}]
        assert not client.backend.subscriptions

    async def test_a_slow_reader_gets_fewer_and_larger_transitions(self, client: Client) -> None:
        client.subscribe(0)
        await client.transition()
        client.socket.accepts.clear()
        for _ in range(20):
            client.backend.commit()
            await let_run()
        client.socket.accepts.set()
        while values(await client.transition()) != {0: 20}:
            pass
        assert len(client.socket.heard) <= 5

    async def test_skew_and_server_time_are_sent_together(self, client: Client) -> None:
        client.socket.say(CONNECT | {"clientTs": 1_500})
        client.subscribe(0)
        sent = await client.transition()
        assert sent["clientClockSkew"] == 500
        assert sent["serverTs"] == client.clock.ns

    async def test_without_a_client_time_neither_is_sent(self, client: Client) -> None:
        client.socket.say(CONNECT | {"clientTs": 0})
        client.subscribe(0)
        assert {"clientClockSkew", "serverTs"}.isdisjoint(await client.transition())


class TestMutations:
    async def test_the_response_precedes_the_transition_that_contains_it(
        self, client: Client
    ) -> None:
        client.subscribe(0)
        await client.transition()

        async def linger(_call: FunctionCall) -> None:
            # The commit is published, its response is not sent: the tempting moment.
            await let_run()

        client.backend.after_commit = linger
        client.mutate(0)
        response = await client.socket.hear()
        assert response["type"] == "MutationResponse"
        transition = await client.socket.hear()
        assert values(transition) == {0: 1}
        assert end_ts(transition) >= decode_timestamp(response["ts"])

    async def test_the_order_holds_for_a_stream_of_mutations(self, client: Client) -> None:
        client.subscribe(0)
        for request_id in range(30):
            client.mutate(request_id, "fail" if request_id % 7 == 3 else "counter:add")
        order_is_kept = OrderCheck()
        while order_is_kept.responses < 30 or order_is_kept.owed:
            order_is_kept.take(await client.socket.hear())
        order_is_kept.finish()

    async def test_a_transition_follows_without_any_query(self, client: Client) -> None:
        client.mutate(0)
        response = await client.socket.hear()
        transition = await client.socket.hear()
        assert transition["modifications"] == []
        assert end_ts(transition) >= decode_timestamp(response["ts"])

    async def test_a_transition_follows_a_failed_mutation(self, client: Client) -> None:
        client.mutate(0, "fail")
        response = await client.socket.hear()
        assert (response["success"], response["result"], response["ts"]) == (False, "no", None)
        assert (await client.socket.hear())["type"] == "Transition"

    async def test_they_run_one_at_a_time_in_the_order_of_requests(self, client: Client) -> None:
        running: list[str] = []

        async def watch(call: FunctionCall) -> None:
            assert not running
            running.append(call.path)
            await let_run()
            running.pop()

        client.backend.before_mutation = watch
        for request_id in range(5):
            client.mutate(request_id, f"m:f{request_id}")
        for request_id in range(5):
            assert (await client.socket.hear_until("MutationResponse"))["requestId"] == request_id

    async def test_the_identity_is_the_one_of_the_moment_of_receipt(self, client: Client) -> None:
        client.mutate(0)
        client.authenticate("ann")
        client.mutate(1)
        await client.socket.hear_until("MutationResponse")
        await client.socket.hear_until("MutationResponse")
        (first, _), (second, _) = client.backend.mutations
        assert first.identity == Anonymous()
        assert second.identity == await client.authenticator.authenticate(_as_user("ann"))

    async def test_session_and_request_make_the_key_and_the_request_id(
        self, client: Client
    ) -> None:
        client.socket.say(CONNECT)
        client.mutate(4)
        await client.socket.hear()
        ((call, session),) = client.backend.mutations
        assert session is not None
        assert (session.session_id, session.request_id) == (SESSION, 4)
        assert call.request_id == session_request_id(SESSION, 4)

    async def test_without_connect_there_is_no_session(self, client: Client) -> None:
        client.mutate(0)
        await client.socket.hear()
        ((_, session),) = client.backend.mutations
        assert session is None

    async def test_a_conflict_is_a_failed_response_and_the_socket_stays(
        self, client: Client
    ) -> None:
        async def conflict(_call: FunctionCall) -> None:
            raise FenchelError(ErrorKind.OCC, "OptimisticConcurrencyControlFailure", "changed")

        client.backend.before_mutation = conflict
        client.mutate(0)
        response = await client.socket.hear()
        assert not response["success"]
        assert "changed" in response["result"]

    async def test_a_bug_is_an_opaque_failed_response(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(_call: FunctionCall) -> None:
            raise ZeroDivisionError("secret")

        client.backend.before_mutation = fail
        client.mutate(0)
        response = await client.socket.hear()
        assert "secret" not in response["result"]
        assert response["result"].startswith("[Request ID: ")
        assert "ZeroDivisionError" in caplog.text

    async def test_too_many_close_with_a_retryable_code(self) -> None:
        sync = replace(SyncSettings(), mutation_queue_count_max=2)
        async with open_client(sync=sync) as client:
            client.backend.before_mutation = _never
            for request_id in range(5):
                client.mutate(request_id)
            await client.ending()
            assert client.socket.closed == (1013, "TooManyConcurrentMutations")

    async def test_one_that_takes_too_long_closes_with_a_retryable_code(self) -> None:
        sync = replace(SyncSettings(), mutation_seconds_max=0.01)
        async with open_client(sync=sync) as client:
            client.backend.before_mutation = _never
            client.mutate(0)
            await client.ending()
            assert client.socket.closed == (1013, "SystemTimeoutError")


class TestActions:
    async def test_they_run_at_once_beside_each_other(self, client: Client) -> None:
        gate = asyncio.Event()

        async def first_waits(call: FunctionCall) -> None:
            if len(client.backend.actions) == 1:
                await gate.wait()

        client.backend.before_action = first_waits
        client.act(0)
        client.act(1)
        assert (await client.socket.hear_until("ActionResponse"))["requestId"] == 1
        gate.set()
        response = await client.socket.hear_until("ActionResponse")
        assert response == {
            "type": "ActionResponse",
            "requestId": 0,
            "success": True,
            "result": "acted",
            "logLines": [],
        }

    async def test_one_goes_on_after_its_client_has_left(self) -> None:
        gate = asyncio.Event()
        finished = asyncio.Event()

        async def wait(_call: FunctionCall) -> None:
            await gate.wait()
            finished.set()

        async with open_client() as client:
            client.backend.before_action = wait
            client.act(0)
            await let_run()
            client.socket.leave()
            await client.ending()
            assert len(client.actions) == 1
            gate.set()
            await asyncio.wait_for(finished.wait(), 30)
            await let_run()
            assert len(client.actions) == 0

    async def test_a_mutation_does_not_wait_for_an_action(self, client: Client) -> None:
        client.backend.before_action = _never
        client.act(0)
        client.mutate(1)
        assert (await client.socket.hear())["type"] == "MutationResponse"

    async def test_too_many_close_with_a_retryable_code(self) -> None:
        sync = replace(SyncSettings(), action_count_max=2)
        async with open_client(sync=sync) as client:
            client.backend.before_action = _never
            for request_id in range(3):
                client.act(request_id)
            await client.ending()
            assert client.socket.closed == (1013, "TooManyConcurrentActions")


class TestAuthentication:
    async def test_a_transition_confirms_each_identity(self, client: Client) -> None:
        client.subscribe(0)
        await client.transition()
        client.authenticate("ann")
        sent = await client.transition()
        assert sent["endVersion"]["identity"] == 1
        assert sent["modifications"] == [], "the same result is not sent again"
        assert len(client.backend.queries) == 2

    async def test_a_refused_token_tells_the_version_before_it(self, client: Client) -> None:
        client.authenticate("ann")
        await client.transition()
        client.authenticate("bad")
        assert await client.socket.hear() == {
            "type": "AuthError",
            "error": "bad token",
            "baseVersion": 1,
            "authUpdateAttempted": True,
        }
        await client.ending()
        assert client.socket.closed == (None, "")

    async def test_an_unreachable_provider_closes_for_a_retry(self, client: Client) -> None:
        client.authenticate("unreachable")
        await client.ending()
        assert client.socket.heard == []
        assert client.socket.closed == (1013, "AuthProviderDiscoveryFailed")

    @pytest.mark.parametrize("use", ["mutate", "act", "subscribe"])
    async def test_an_expired_token_is_noticed_when_it_is_used(
        self, client: Client, use: str
    ) -> None:
        client.authenticator.expires_ns = client.clock.ns + 1
        client.authenticate("ann")
        await client.transition()
        client.clock.ns += 1
        getattr(client, use)(0)
        error = await client.socket.hear()
        assert (error["type"], error["authUpdateAttempted"]) == ("AuthError", False)
        assert error["baseVersion"] == 1

    async def test_logging_out_is_an_identity_too(self, client: Client) -> None:
        client.authenticate("ann")
        client.authenticate(None, "None")
        client.subscribe(0)
        while (await client.transition())["endVersion"]["identity"] != 2:
            pass


class TestEndings:
    @pytest.mark.parametrize("text", ["", "{}", '{"type":"Nothing"}', "[1,2"])
    async def test_a_malformed_message_is_fatal(self, client: Client, text: str) -> None:
        client.socket.say_text(text)
        assert (await client.socket.hear())["type"] == "FatalError"
        await client.ending()
        assert client.socket.closed == (None, "")

    async def test_a_wrong_base_version_is_fatal(self, client: Client) -> None:
        client.version = 5
        client.subscribe(0)
        assert "Base version 5" in (await client.socket.hear())["error"]

    async def test_a_client_from_the_future_is_sent_away(self, client: Client) -> None:
        client.socket.say(CONNECT | {"maxObservedTimestamp": encode_timestamp(Timestamp(101))})
        await client.ending()
        assert client.socket.closed == (1011, "InternalServerError")

    async def test_events_are_ignored(self, client: Client) -> None:
        client.socket.say({"type": "Event", "eventType": "Unheard", "event": {"a": [1]}})
        client.mutate(0)
        assert (await client.socket.hear())["type"] == "MutationResponse"

    async def test_what_was_answered_is_sent_before_the_end(self, client: Client) -> None:
        client.mutate(0)
        await let_run()
        client.socket.say_text("nonsense")
        await client.ending()
        kinds = [message["type"] for message in client.socket.heard]
        assert kinds == ["MutationResponse", "Transition", "FatalError"]

    async def test_a_client_that_does_not_read_is_not_served_further(self, client: Client) -> None:
        client.socket.accepts.clear()
        client.mutate(0)
        client.mutate(1)
        client.act(2)
        await let_run()
        assert [message["type"] for message in client.socket.heard] == ["MutationResponse"]
        assert len(client.backend.mutations) == 1

    async def test_a_shutdown_sends_the_client_elsewhere(self, client: Client) -> None:
        client.subscribe(0)
        await client.transition()
        client.worker.shut_down()
        await client.ending()
        assert client.socket.closed == (1001, "ServerShutdown")


class TestWriting:
    async def test_a_silent_server_pings(self) -> None:
        async with open_client(sync=replace(SyncSettings(), ping_seconds=0.01)) as client:
            for _ in range(3):
                assert await client.socket.hear() == {"type": "Ping"}

    async def test_pings_go_on_while_a_query_runs(self) -> None:
        async with open_client(sync=replace(SyncSettings(), ping_seconds=0.01)) as client:
            client.backend.before_query = _never
            client.subscribe(0)
            assert (await client.socket.hear())["type"] == "Ping"

    async def test_long_transitions_are_cut_for_new_clients(self) -> None:
        sync = replace(SyncSettings(), transition_chunk_bytes=100)
        async with open_client(sync=sync) as client:
            client.subscribe(0)
            first = await client.socket.hear()
            parts = [first]
            while len(parts) < first["totalParts"]:
                parts.append(await client.socket.hear())
            assert [part["partNumber"] for part in parts] == list(range(len(parts)))
            whole = json.loads("".join(part["chunk"] for part in parts))
            assert values(whole) == {0: 0}

    async def test_other_clients_get_them_whole(self) -> None:
        sync = replace(SyncSettings(), transition_chunk_bytes=100)
        async with open_client(sync=sync, takes_chunks=False) as client:
            client.subscribe(0)
            assert (await client.socket.hear())["type"] == "Transition"


class OrderCheck:
    """Section 7: a response comes before the first Transition that reaches its ts, and one follows
    it.
    """

    def __init__(self) -> None:
        self.responses = 0
        self.owed: list[int] = []
        self.end_version: JsonObject = {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}

    def take(self, message: JsonObject) -> None:
        if message["type"] == "MutationResponse":
            assert message["requestId"] == self.responses
            self.responses += 1
            ts = 0 if message["ts"] is None else decode_timestamp(message["ts"])
            reached = decode_timestamp(self.end_version["ts"])
            assert ts == 0 or reached < ts, "a Transition overtook the response"
            self.owed.append(ts)
        if message["type"] == "Transition":
            assert message["startVersion"] == self.end_version
            self.end_version = message["endVersion"]
            self.owed = [ts for ts in self.owed if ts > end_ts(message)]

    def finish(self) -> None:
        assert not self.owed


def _as_user(name: str) -> Authenticate:
    return Authenticate(base_version=0, token_type="User", value=name)


async def _pass(_call: FunctionCall) -> None:
    return None


async def _never(_call: FunctionCall) -> None:
    await asyncio.Event().wait()
