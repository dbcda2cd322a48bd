"""The log stream: order, cursors, waiting, both forms of lines (deploy-protocol 3.4)."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.application.calls import FunctionCaller
from fenchel.application.function_log import Completion, Execution, FunctionLog
from fenchel.auth import Admin, Anonymous, Identity, System, Unknown
from fenchel.runtime import Runtime
from fenchel.udf import LogLevel, LogLine, UdfType
from tests.application.fakes import user


class StillClock:
    """Wall time stands still; a sleeper sleeps until `is_over` is set."""

    def __init__(self) -> None:
        self.is_over = asyncio.Event()

    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000

    def monotonic(self) -> float:
        return 100.0 if self.is_over.is_set() else 0.0

    async def sleep(self, seconds: float) -> None:
        assert seconds == 60.0
        await self.is_over.wait()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def log(clock: StillClock) -> FunctionLog:
    return FunctionLog(Runtime(clock=clock))


def execution(identity: Identity | None = None) -> Execution:
    return Execution(
        udf_type=UdfType.QUERY,
        identifier="messages:list",
        component="",
        caller=FunctionCaller.HTTP_API,
        identity=identity or Anonymous(),
        request_id="0" * 16,
        execution_id="e",
        parent_execution_id=None,
        start_ns=1_600_000_000_000_000_000,
    )


def line(text: str) -> LogLine:
    return LogLine(level=LogLevel.WARN, messages=(text, "1"), timestamp_ms=5.0)


def complete(log: FunctionLog, text: str = "x") -> None:
    log.record_completion(
        execution(), Completion(execution_seconds=0.5, return_bytes=4), (line(text),)
    )


async def test_a_completion_has_all_fields_of_the_protocol(log: FunctionLog) -> None:
    complete(log)
    page = await log.stream(1, is_structured=True)
    assert page.entries == (
        {
            "kind": "Completion",
            "udfType": "Query",
            "componentPath": None,
            "identifier": "messages:list",
            "requestId": "0" * 16,
            "executionId": "e",
            "cachedResult": False,
            "caller": "HttpApi",
            "parentExecutionId": None,
            "executionTime": 0.5,
            "userExecutionTime": None,
            "success": None,
            "error": None,
            "usageStats": {},
            "returnBytes": 4,
            "occInfo": None,
            "willRetry": False,
            "executionTimestamp": 1_600_000_000.0,
            "identityType": "unknown",
            "environment": "isolate",
            "timestamp": 1_700_000_000.0,
            "logLines": [
                {"messages": ["x", "1"], "isTruncated": False, "timestamp": 5.0, "level": "WARN"}
            ],
        },
    )


async def test_lines_are_texts_for_other_clients(log: FunctionLog) -> None:
    complete(log)
    page = await log.stream(1, is_structured=False)
    assert page.entries[0]["logLines"] == ["[WARN] x 1"]


async def test_a_cursor_returns_what_came_after_it(log: FunctionLog) -> None:
    for text in "abc":
        complete(log, text)
    first = await log.stream(1, is_structured=False)
    assert [entry["logLines"] for entry in first.entries] == [
        ["[WARN] a 1"],
        ["[WARN] b 1"],
        ["[WARN] c 1"],
    ]
    complete(log, "d")
    second = await log.stream(first.new_cursor, is_structured=False)
    assert [entry["logLines"] for entry in second.entries] == [["[WARN] d 1"]]


async def test_a_reader_waits_for_the_next_entry(log: FunctionLog) -> None:
    complete(log)
    cursor = (await log.stream(1, is_structured=False)).new_cursor
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(log.stream(cursor, is_structured=False))
        await asyncio.sleep(0)
        assert not reader.done()
        complete(log, "next")
        page = await reader
    assert [entry["logLines"] for entry in page.entries] == [["[WARN] next 1"]]


async def test_nothing_for_a_minute_is_an_empty_page(log: FunctionLog, clock: StillClock) -> None:
    complete(log)
    cursor = (await log.stream(1, is_structured=False)).new_cursor
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(log.stream(cursor, is_structured=False))
        await asyncio.sleep(0)
        clock.is_over.set()
        page = await reader
    assert page.entries == ()
    assert page.new_cursor == cursor


async def test_the_first_poll_of_an_empty_log_returns_the_present_time(log: FunctionLog) -> None:
    page = await log.stream(0, is_structured=False)
    assert page.entries == ()
    complete(log)
    following = await log.stream(page.new_cursor, is_structured=False)
    assert len(following.entries) == 1


async def test_the_oldest_entries_make_room(log: FunctionLog) -> None:
    for _ in range(1_005):
        complete(log)
    assert len((await log.stream(1, is_structured=False)).entries) == 1_000


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (Anonymous(), "unknown"),
        (Unknown("code", "message"), "unknown"),
        (user("ann"), "user"),
        (Admin(), "instance_admin"),
        (Admin(acting_as=user("ann").user), "member_acting_user"),
        (System(), "system"),
    ],
)
async def test_identity_types(log: FunctionLog, identity: Identity, name: str) -> None:
    log.record_progress(execution(identity), ())
    log.record_completion(execution(identity), Completion(execution_seconds=0))
    entries = (await log.stream(1, is_structured=False)).entries
    assert entries[0]["kind"] == "Progress"
    assert entries[1]["identityType"] == name
