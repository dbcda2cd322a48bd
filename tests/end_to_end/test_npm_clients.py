"""The clients of the npm package `convex` in Node: `ConvexHttpClient` and `ConvexClient`."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import pytest

from tests.end_to_end.npm_client import NpmClientError, npm_client

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer

Kind = Literal["http", "websocket"]
both_kinds = pytest.mark.parametrize("kind", ["http", "websocket"])
pytestmark = pytest.mark.usefixtures("app")


@both_kinds
async def test_a_query_sees_what_a_mutation_wrote(
    kind: Kind, server: FenchelServer, topic: str
) -> None:
    async with npm_client(kind, server.url) as client:
        await client.mutation("notes:add", topic=topic, body="one")
        await client.mutation("notes:add", topic=topic, body="two")
        assert await client.query("notes:list", topic=topic) == ["one", "two"]


async def test_a_query_asked_again_and_again_sees_each_mutation_and_is_logged_each_time(
    server: FenchelServer, topic: str
) -> None:
    expected: list[str] = []
    async with npm_client("http", server.url) as client:
        for number in range(5):
            await client.mutation("notes:add", topic=topic, body=f"{number}")
            expected.append(f"{number}")
            for _ in range(4):
                assert await client.query("notes:list", topic=topic) == expected
    entries = (await stream_log(server))[-25:]
    assert [entry["identifier"] for entry in entries] == ["notes:add", *["notes:list"] * 4] * 5
    assert [entry["cachedResult"] for entry in entries] == [False, False, True, True, True] * 5
    assert len({entry["requestId"] for entry in entries}) == 25
    assert len({entry["executionId"] for entry in entries}) == 25


async def stream_log(server: FenchelServer) -> list[dict[str, Any]]:
    """What `convex logs` reads first."""
    headers = {"Authorization": f"Convex {server.admin_key()}"}
    url = f"{server.url}/api/stream_function_logs?cursor=0"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        entries: list[dict[str, Any]] = (await response.json())["entries"]
        return entries


@both_kinds
async def test_an_action_calls_a_mutation_and_a_query_and_schedules(
    kind: Kind, server: FenchelServer, topic: str
) -> None:
    async with (
        npm_client(kind, server.url) as client,
        npm_client("websocket", server.url) as watcher,
    ):
        updates = watcher.subscribe("notes:list", topic=topic)
        assert await client.action("notes:addByAction", topic=topic, body="x") == ["x"]
        assert (await updates.until(["x", "x, scheduled"]))[-1] == ["x", "x, scheduled"]


@both_kinds
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -0.5,
        "tëxt \U0001f600",
        {"$integer": "AQAAAAAAAAA="},
        {"$bytes": "AAEC"},
        [1.0, ["nested", {"a": {"b": None}}]],
    ],
)
async def test_values_come_back_as_they_were_sent(
    kind: Kind, server: FenchelServer, app: ConvexApp, value: object
) -> None:
    async with npm_client(kind, server.url) as client:
        assert await client.query("probe:echo", value=value) == value


@both_kinds
async def test_a_failing_function_throws_its_message(kind: Kind, server: FenchelServer) -> None:
    async with npm_client(kind, server.url) as client:
        with pytest.raises(NpmClientError, match="the developer made a mistake"):
            await client.query("probe:fail")


@both_kinds
async def test_a_convex_error_carries_its_data(kind: Kind, server: FenchelServer) -> None:
    async with npm_client(kind, server.url) as client:
        with pytest.raises(NpmClientError) as caught:
            await client.query("probe:refuse")
    assert caught.value.data == {"code": "refused", "attempts": 3}


@both_kinds
async def test_an_internal_function_is_not_found_by_clients(
    kind: Kind, server: FenchelServer
) -> None:
    async with npm_client(kind, server.url) as client:
        with pytest.raises(NpmClientError, match="Could not find public function"):
            await client.query("probe:hidden")


@both_kinds
async def test_arguments_are_checked_against_the_validator(
    kind: Kind, server: FenchelServer, topic: str
) -> None:
    async with npm_client(kind, server.url) as client:
        with pytest.raises(NpmClientError, match="ArgumentValidationError"):
            await client.mutation("notes:add", topic=topic, body=1.0)


@both_kinds
async def test_nothing_of_a_failed_mutation_stays(
    kind: Kind, server: FenchelServer, topic: str
) -> None:
    async with npm_client(kind, server.url) as client:
        with pytest.raises(NpmClientError, match="changed my mind"):
            await client.mutation("notes:addThenFail", topic=topic)
        assert await client.query("notes:list", topic=topic) == []


@both_kinds
async def test_each_execution_starts_with_fresh_module_state(
    kind: Kind, server: FenchelServer
) -> None:
    async with npm_client(kind, server.url) as client:
        assert await client.query("probe:countCalls") == 1.0
        assert await client.query("probe:countCalls") == 1.0


async def test_subscribers_see_the_mutations_of_others(server: FenchelServer, topic: str) -> None:
    async with (
        npm_client("websocket", server.url) as reader,
        npm_client("http", server.url) as writer,
    ):
        updates = reader.subscribe("notes:list", topic=topic)
        other_topic = reader.subscribe("notes:list", topic=f"not {topic}")
        assert await updates.next() == []
        assert await other_topic.next() == []
        await writer.mutation("notes:add", topic=topic, body="news")
        assert await updates.next() == ["news"]


async def test_conflicting_mutations_are_run_again_until_each_counted_all_before_it(
    server: FenchelServer, topic: str
) -> None:
    async with (
        npm_client("websocket", server.url) as first,
        npm_client("websocket", server.url) as second,
    ):
        sent = [
            client.start("mutation", "notes:addNumbered", topic=topic)
            for _ in range(10)
            for client in (first, second)
        ]
        numbers = [await answer.next() for answer in sent]
        assert sorted(numbers) == [float(number) for number in range(20)]


@both_kinds
async def test_a_mutation_writes_and_returns_the_timestamp_of_its_commit(
    kind: Kind, server: FenchelServer, topic: str
) -> None:
    async with npm_client(kind, server.url) as client:
        first = await client.mutation("commits:stamp", topic=topic)
        second = await client.mutation("commits:stamp", topic=topic)
        assert (first["pending"], first["last"]) == (True, True)
        listed = await client.query("commits:list", topic=topic)
        assert listed == [first["ts"], first["ts"], second["ts"], second["ts"]]
        numbers = [int.from_bytes(b64decode(ts["$integer"]), "little") for ts in listed]
        assert numbers == sorted(numbers)
        assert numbers[0] < numbers[-1]
