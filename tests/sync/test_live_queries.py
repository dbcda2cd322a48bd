"""What becomes of a transition when its queries fail, or cannot run now (client-protocol 3.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fenchel.application import FunctionCall
from fenchel.errors import ErrorKind, FenchelError, overloaded
from fenchel.sync import live_queries
from tests.sync.client import Client, end_ts, open_client, values


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as opened:
        yield opened


async def test_a_malformed_path_fails_the_query_only(client: Client) -> None:
    async def refuse(_call: FunctionCall) -> None:
        raise FenchelError(ErrorKind.BAD_REQUEST, "BadPath", "that is not a path")

    client.backend.before_query = refuse
    client.subscribe(0)
    (failed,) = (await client.transition())["modifications"]
    assert failed["type"] == "QueryFailed"
    assert "that is not a path" in failed["errorMessage"]
    assert failed["logLines"] == []


async def test_refused_queries_are_tried_again(client: Client) -> None:
    """For minutes: a closed connection would come back at once, and others with it."""
    refusals = [overloaded("ExecuteFullError", "busy")] * 12

    async def refuse(_call: FunctionCall) -> None:
        if refusals:
            raise refusals.pop()

    client.backend.before_query = refuse
    client.subscribe(0)
    assert values(await client.transition()) == {0: 0}
    assert len(client.clock.slept) == 12
    assert 180 < sum(client.clock.slept) < 540
    assert max(client.clock.slept) <= 90


async def test_a_query_that_is_always_refused_closes_for_a_retry(client: Client) -> None:
    async def refuse(_call: FunctionCall) -> None:
        raise overloaded("ExecuteFullError", "busy")

    client.backend.before_query = refuse
    client.subscribe(0)
    await client.ending()
    assert client.socket.closed == (1013, "ExecuteFullError")


async def test_an_unavailable_query_holds_up_no_other_and_is_tried_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queries, "POSTPONED_SECONDS", 0.01)
    failures = ["first", "second"]

    async def fail(call: FunctionCall) -> None:
        if call.path == "search:find" and failures:
            code = f"{failures.pop(0)}Unavailable"
            raise FenchelError(ErrorKind.FEATURE_UNAVAILABLE, code, "not yet")

    client.backend.before_query = fail
    search = {"type": "Add", "queryId": 1, "udfPath": "search:find", "args": [{}]}
    client.modify({**search, "queryId": 0, "udfPath": "counter:get"}, search)
    sent = await client.transition()
    assert values(sent) == {0: 0}
    assert sent["endVersion"]["querySet"] == 1
    assert values(await client.transition()) == {1: 0}
    assert failures == []
    assert client.clock.slept == []


async def test_a_lost_snapshot_restarts_the_transition(client: Client) -> None:
    async def lose(_call: FunctionCall) -> None:
        client.backend.before_query = _pass
        client.backend.commit()
        raise FenchelError(ErrorKind.OUT_OF_RETENTION, "OutOfRetention", "too old")

    client.backend.before_query = lose
    client.subscribe(0, 1)
    sent = await client.transition()
    assert values(sent) == {0: 1, 1: 1}
    assert end_ts(sent) == 110


async def test_a_bug_in_a_query_closes_with_an_internal_error(client: Client) -> None:
    async def fail(_call: FunctionCall) -> None:
        raise ZeroDivisionError

    client.backend.before_query = fail
    client.subscribe(0)
    await client.ending()
    assert client.socket.closed == (1011, "InternalServerError")


async def _pass(_call: FunctionCall) -> None:
    return None
