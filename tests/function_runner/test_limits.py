"""Execution 4.1 and 4.3, row by row: each limit is met with a small setting, and has its error.

Rows whose limit is met elsewhere: system time, `test_worker_pool` (too much time in system calls);
analysis and evaluators, `test_evaluators`; values and documents (4.2), `tests/values` and
`tests/end_to_end/test_error_texts`; queues (4.4), `test_worker_lane` and `tests/server/test_app`;
bodies of HTTP actions, `tests/server`; the limits as the specification sets them,
`test_error_texts`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio

from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import MEBIBYTE, IsolateSettings, TransactionLimits
from tests.function_runner.harness import App, running_app
from tests.function_runner.test_in_process_function_runner import error_of, value_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = Settings(
    transaction=TransactionLimits(
        documents_read_max=4,
        bytes_read_max=2_000,
        intervals_read_max=3,
        documents_written_max=6,
        bytes_written_max=MEBIBYTE,
        functions_scheduled_max=2,
        scheduled_args_bytes_max=1_000,
        page_size_max=10,
    ),
    isolate=IsolateSettings(
        worker_count=1,
        user_time_seconds_max=0.3,
        heap_mebibytes_max=64,
        array_buffer_mebibytes_max=64,
        stack_kibibytes_max=512,
        log_lines_max=20,
        log_line_bytes_max=1_000,
        argument_bytes_max=MEBIBYTE,
        result_bytes_max=MEBIBYTE,
        call_depth_max=2,
        concurrent_calls_max=3,
    ),
)
SMALLER = (
    "Consider using smaller limits in your queries, paginating your queries, or using indexed "
    "queries with a selective index range expressions."
)
READS = "in a single function execution (limit:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A call that passes one limit, and what it is told; `rows` are there to be read, in a table
    of its own.
    """

    path: str
    text: str
    args: dict[str, Any] = field(default_factory=dict)
    kind: str = "query"
    rows: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return self.path.partition(":")[2]


ROWS = [
    Row(
        path="limits:collect",
        rows=(3, 900),
        text=f"Too many bytes read {READS} 2000 bytes). {SMALLER}",
    ),
    Row(path="limits:collect", rows=(5, 1), text=f"Too many documents read {READS} 4). {SMALLER}"),
    Row(
        path="limits:ranges",
        args={"count": 4},
        rows=(1, 1),
        text=f"Too many reads {READS} 3). {SMALLER}",
    ),
    Row(
        path="limits:fill",
        kind="mutation",
        args={"count": 7, "bytes": 1},
        text=f"Too many writes {READS} 6)",
    ),
    Row(
        path="limits:fill",
        kind="mutation",
        args={"count": 2, "bytes": 600_000},
        text=f"Too many bytes written {READS} 1 MiB)",
    ),
    Row(
        path="limits:schedule",
        kind="mutation",
        args={"count": 3, "bytes": 1},
        text="Too many functions scheduled by this mutation (limit: 2)",
    ),
    Row(
        path="limits:schedule",
        kind="mutation",
        args={"count": 1, "bytes": 1_000},
        text="Too large total size of the arguments of scheduled functions from this mutation "
        "(limit: 1000 bytes)",
    ),
    Row(
        path="nested:deep",
        args={"depth": 3},
        text="Cross component call depth limit exceeded. Do you have an infinite loop in your app?",
    ),
    Row(path="limits:page", args={"size": 11}, text="Requested too many items: 11"),
    Row(
        path="limits:operators",
        args={"count": 257},
        text="construct query with more than 256 operators",
    ),
    Row(
        path="limits:take",
        args={"text": "x" * 2 * MEBIBYTE},
        text="Arguments for limits.js:take are too large (actual: 2 MiB, limit: 1 MiB)",
    ),
    Row(
        path="limits:giveMuch",
        args={"bytes": 2 * MEBIBYTE},
        text="Function limits.js:giveMuch return value is too large (actual: 2 MiB, limit: 1 MiB)",
    ),
    *(
        Row(
            path=f"limits:{name}",
            kind=kind,
            text="Function execution timed out (maximum duration: 0.3s)",
        )
        for name, kind in (
            ("loopInQuery", "query"),
            ("loopInMutation", "mutation"),
        )
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[App]:
    async with running_app(Runtime(settings=SETTINGS)) as running:
        yield running


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_function_that_passes_a_limit_is_told_which(app: App, row: Row) -> None:
    args = dict(row.args)
    count, size_bytes = row.rows
    if count > 0:
        args["table"] = f"rows{ROWS.index(row)}"
    for _ in range(count):
        new_row = {"count": 1, "bytes": size_bytes, "table": args["table"]}
        value_of(await app.mutation("limits:fill", new_row))
    error = error_of(await getattr(app, row.kind)(row.path, args))
    assert row.text in error.message
    assert value_of(await app.query("limits:take")) is None


async def test_an_action_that_takes_too_long_is_told_so() -> None:
    """By the clock, so that no other test may have this limit on a busy machine."""
    isolate = replace(SETTINGS.isolate, action_seconds_max=0.3)
    async with running_app(Runtime(settings=replace(SETTINGS, isolate=isolate))) as app:
        for name in ("loopInAction", "waitInAction"):
            error = error_of(await app.action(f"limits:{name}"))
            assert "Function execution timed out (maximum duration: 0.3s)" in error.message


async def test_a_function_that_has_the_time_runs_out_of_memory() -> None:
    isolate = replace(SETTINGS.isolate, user_time_seconds_max=30.0)
    async with running_app(Runtime(settings=replace(SETTINGS, isolate=isolate))) as app:
        error = error_of(await app.query("limits:fillHeap"))
    assert "JavaScript execution ran out of memory (maximum memory usage: 32 MB)" in error.message


async def test_buffers_and_stack_end_with_errors_that_the_function_can_catch(app: App) -> None:
    for args in ({"count": 1, "bytes": 200 * MEBIBYTE}, {"count": 30, "bytes": 8 * MEBIBYTE}):
        thrown = value_of(await app.query("limits:buffers", args))
        assert thrown == "RangeError: Array buffer allocation failed"
    recursion = value_of(await app.query("limits:recurse"))
    assert recursion == "RangeError: Maximum call stack size exceeded"


async def test_array_buffers_have_their_own_part_of_the_memory(app: App) -> None:
    """More than the whole heap may take, and not at its cost."""
    args = {"count": 8, "bytes": 8 * MEBIBYTE}
    assert value_of(await app.query("limits:buffers", args)) == "nothing was thrown"


async def test_the_stack_is_as_deep_as_the_setting_says(app: App) -> None:
    """90 bytes a call: some 11,000 fit into what Node has without a setting."""
    assert 2_000 < value_of(await app.query("limits:depth")) < 8_000


async def test_log_lines_beyond_the_limits_are_cut(app: App) -> None:
    many = await app.query("limits:log", {"count": 300, "characters": 1})
    assert len(many.log_lines) == 20
    assert many.log_lines[-1].messages == (
        "Log overflow (maximum 20). Remaining log lines omitted.",
    )
    long = await app.query("limits:log", {"count": 1, "characters": 1_001})
    (line,) = long.log_lines
    assert line.is_truncated
    assert len(line.messages[0]) == 1_000


async def test_an_action_has_a_bounded_number_of_calls_under_way(app: App) -> None:
    assert value_of(await app.action("limits:callAtOnce", {"count": 3})) == "all"
    assert "Too many concurrent operations." in value_of(
        await app.action("limits:callAtOnce", {"count": 9})
    )
