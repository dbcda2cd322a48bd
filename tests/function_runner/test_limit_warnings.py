"""Which warnings an execution gets, word for word."""

from __future__ import annotations

import pytest

from fenchel.database import Database, ReadSet, TransactionUsage
from fenchel.function_runner.limit_warnings import (
    response_warnings,
    size_warnings,
    time_warnings,
    usage_warnings,
)
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings, TransactionLimits
from fenchel.udf import FunctionResult, LogLevel, LogLine, UdfType
from fenchel.values import Value
from tests.function_runner.harness import running_app


def usage(**counters: int) -> TransactionUsage:
    made = TransactionUsage(limits=TransactionLimits(), reads=ReadSet())
    for name, value in counters.items():
        setattr(made, name, value)
    return made


def test_a_counter_close_to_its_limit() -> None:
    (line,) = usage_warnings(usage(documents_read=25_601), timestamp_ms=5.0)
    assert line.level is LogLevel.WARN
    assert line.system_code == "warning:TooManyDocumentsRead"
    assert line.messages == (
        "Many documents read in a single function execution (actual: 25601, limit: 32000). "
        "Consider using smaller limits in your queries, paginating your queries, or using indexed "
        "queries with a selective index range expressions.",
    )


def test_sizes_have_their_unit() -> None:
    (line,) = usage_warnings(usage(bytes_written=16_777_216), timestamp_ms=5.0)
    assert line.messages == (
        "Many bytes written in a single function execution "
        "(actual: 16777216 bytes, limit: 16777216 bytes).",
    )


@pytest.mark.parametrize(
    ("counter", "value", "code"),
    [
        ("bytes_read", 13_421_773, "TooManyBytesRead"),
        ("documents_written", 12_801, "TooManyWrites"),
        ("functions_scheduled", 801, "TooManyFunctionsScheduled"),
        ("scheduled_args_bytes", 13_421_773, "ScheduledFunctionsArgumentsTooLarge"),
    ],
)
def test_each_counter_has_its_code(counter: str, value: int, code: str) -> None:
    (line,) = usage_warnings(usage(**{counter: value}), timestamp_ms=5.0)
    assert line.system_code == f"warning:{code}"


def test_neither_at_four_fifths_nor_beyond_the_limit() -> None:
    assert not list(usage_warnings(usage(documents_read=25_600), timestamp_ms=5.0))
    assert not list(usage_warnings(usage(documents_read=32_001), timestamp_ms=5.0))


async def test_the_largest_and_the_most_nested_document() -> None:
    database = await Database.open(MemoryPersistence(), Runtime())
    nested: Value = None
    for _ in range(13):
        nested = [nested]
    tx = database.begin()
    await tx.user().insert("notes", {"text": "x" * 800_000})
    large = await tx.user().insert("notes", {"text": "x" * 900_000})
    deep = await tx.user().insert("notes", {"nested": nested})
    await tx.user().patch(large, {"read": True})
    await database.close()
    lines = list(usage_warnings(tx.usage, timestamp_ms=5.0))
    assert [(line.system_code, line.messages) for line in lines] == [
        (
            "warning:DocumentTooLarge",
            (
                f'Large document written with ID "{large}" '
                "(actual: 900076 bytes, limit: 1048576 bytes).",
            ),
        ),
        (
            "warning:TooNested",
            (
                f'Deeply nested document written with ID "{deep}" '
                "(actual: 14 levels, limit: 16 levels).",
            ),
        ),
    ]


def test_time() -> None:
    (line,) = time_warnings(0.9, 1.0, timestamp_ms=5.0)
    assert line.system_code == "warning:UserTimeout"
    assert line.messages == (
        "Function execution took a long time. (maximum duration: 1s, actual duration: 0.9s).",
    )
    assert not list(time_warnings(0.8, 1.0, timestamp_ms=5.0))


def test_sizes_of_arguments_and_results() -> None:
    settings = IsolateSettings(argument_bytes_max=100, result_bytes_max=1_000)
    long = '"' + "x" * 85 + '"'
    result = FunctionResult(long)
    (line,) = size_warnings(UdfType.QUERY, f"[{long}]", result, settings, timestamp_ms=5.0)
    assert line.system_code == "warning:TooLargeFunctionArguments"
    assert line.messages == (
        "Large size of the function arguments (actual: 89 bytes, limit: 100 bytes).",
    )
    (line,) = size_warnings(UdfType.ACTION, f"[{long}]", result, settings, timestamp_ms=5.0)
    assert line.system_code == "warning:FunctionArgumentsTooLarge"
    settings = IsolateSettings(argument_bytes_max=1_000, result_bytes_max=100)
    (line,) = size_warnings(UdfType.QUERY, f"[{long}]", result, settings, timestamp_ms=5.0)
    assert line.system_code == "warning:TooLargeFunctionResult"
    assert not list(size_warnings(UdfType.QUERY, "[{}]", result, IsolateSettings(), timestamp_ms=5))
    (line,) = size_warnings(UdfType.ACTION, "[{}]", result, settings, timestamp_ms=5.0)
    assert line.messages == (
        "Large size of the action return value (actual: 87 bytes, limit: 100 bytes).",
    )


def test_the_response_of_an_http_action() -> None:
    (line,) = response_warnings(100, 100, timestamp_ms=5.0)
    assert line.level is LogLevel.WARN
    assert line.system_code == "warning:HttpResponseTooLarge"
    assert line.messages == (
        "Large response returned from an HTTP action (actual: 100 bytes, limit: 100 bytes).",
    )
    assert not list(response_warnings(80, 100, timestamp_ms=5.0))
    assert not list(response_warnings(101, 100, timestamp_ms=5.0))


async def test_what_came_close_stands_in_the_log() -> None:
    limits = TransactionLimits(documents_read_max=10)
    isolate = IsolateSettings(argument_bytes_max=100)
    runtime = Runtime(settings=Settings(transaction=limits, isolate=isolate))
    async with running_app(runtime) as app:
        for number in range(9):
            await app.mutation("messages:send", {"author": "a", "body": str(number)})
        outcome = await app.query("messages:list")
        assert [line.system_code for line in outcome.log_lines] == ["warning:TooManyDocumentsRead"]
        heard: list[LogLine] = []
        outcome = await app.action("messages:greet", {"name": "x" * 75}, log=heard)
        assert heard[-1].system_code == "warning:FunctionArgumentsTooLarge"
        assert tuple(heard) == outcome.log_lines
