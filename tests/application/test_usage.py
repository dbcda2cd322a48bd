"""What is counted, what of it survives, and how many names there can be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fenchel.application import UsageTracker
from fenchel.application import usage as usage_module
from fenchel.application.usage import FUNCTIONS_MAX, OTHERS, UsageReport
from fenchel.errors import FenchelError, internal_error
from fenchel.model import Usage
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.udf import FunctionResult, JsError, UdfOutcome
from fenchel.values import Value
from tests.application.fakes import (
    Backend,
    Ctx,
    FakeFunctionRunner,
    Function,
    ManualClock,
    UserCodeError,
    call,
    document_functions,
    running_backend,
)

DAY_SECONDS = 86_400.0
QUERY = ("", "app:documents", "Query")
MUTATION = ("", "app:insert", "Mutation")
RAN = {"user_seconds": 0.25, "memory_bytes": 3 << 20}


def functions() -> FakeFunctionRunner:
    """`insert` and `documents`, as if they had run for 0.25 s with 3 MiB, and `fail`."""
    runner = document_functions()
    for name, (udf_type, function) in list(runner.functions.items()):
        runner.functions[name] = (udf_type, _running(function))

    @runner.mutation
    async def fail(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.outcome |= RAN
        raise UserCodeError("no")

    return runner


def _running(function: Function) -> Function:
    async def run(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.outcome |= RAN
        return await function(ctx, args)

    return run


def tracker_of(backend: Backend) -> UsageTracker:
    return backend.application.usage


async def insert(backend: Backend, text: str = "a") -> None:
    await backend.mutate("insert", {"table": "t", "text": text})


async def reported(backend: Backend, *days: str) -> dict[str, Usage]:
    first, last = days or (None, None)
    report = await tracker_of(backend).report(first, last)
    return {row.function: row.usage for row in report.rows}


def outcome(**fields: Any) -> UdfOutcome:
    return UdfOutcome(**({"result": FunctionResult("null")} | fields))


def record(tracker: UsageTracker, key: tuple[str, str, str], result: UdfOutcome) -> None:
    tracker.record_run(key, result, None, seconds=2.0, is_final=True)


async def test_runs_count_with_what_their_transactions_did() -> None:
    async with running_backend(functions()) as backend:
        await insert(backend)
        await insert(backend)
        await backend.query("documents", {"table": "t"})
        totals = tracker_of(backend).totals
        written, read = totals[MUTATION], totals[QUERY]
        assert (written.calls, written.user_seconds) == (2, 0.5)
        assert (written.written_documents, read.read_documents) == (2, 2)
        assert written.written_bytes == read.read_bytes > 0
        assert (read.calls, read.cached_calls, read.returned_bytes) == (1, 0, len('["a","a"]'))


async def test_answers_from_the_cache_are_calls_that_read_nothing() -> None:
    async with running_backend(functions()) as backend:
        await insert(backend)
        for _ in range(3):
            run = await backend.application.run_query(call("documents", {"table": "t"}))
        assert run.repeat is not None
        assert run.repeat()
        usage = tracker_of(backend).totals[QUERY]
        assert (usage.calls, usage.cached_calls, usage.read_documents) == (4, 3, 1)
        assert usage.returned_bytes == 4 * len('["a"]')


async def test_failures_count_and_memory_is_weighed_by_time() -> None:
    async with running_backend(functions()) as backend:
        run = await backend.application.run_mutation(call("fail"))
        assert not run.result.is_success
        assert tracker_of(backend).totals["", "app:fail", "Mutation"].failed_calls == 1
        record(tracker_of(backend), ("", "a:b", "Action"), outcome(**RAN, egress_bytes=7))
        usage = tracker_of(backend).totals["", "a:b", "Action"]
        assert (usage.memory_mebibyte_seconds, usage.egress_bytes) == (6.0, 7)


async def test_an_attempt_that_is_run_again_is_no_call_but_used_what_it_used() -> None:
    async with running_backend(functions()) as backend:
        tracker_of(backend).record_run(
            ("", "a:b", "Mutation"), outcome(**RAN), None, seconds=1.0, is_final=False
        )
        usage = tracker_of(backend).totals["", "a:b", "Mutation"]
        assert (usage.calls, usage.user_seconds) == (0, 0.25)


async def test_names_that_callers_make_up_share_their_counters() -> None:
    async with running_backend(functions()) as backend:
        error = UdfOutcome(result=JsError(message="Could not find public function"))
        for number in range(3):
            record(tracker_of(backend), ("", f"made:up{number}", "Query"), error)
        assert list(tracker_of(backend).totals) == [("", OTHERS, "Query")]
        assert tracker_of(backend).totals["", OTHERS, "Query"].failed_calls == 3


async def test_the_number_of_counters_is_bounded() -> None:
    async with running_backend(functions()) as backend:
        for number in range(FUNCTIONS_MAX + 5):
            record(tracker_of(backend), ("", f"m:f{number}", "Query"), outcome(**RAN))
        totals = tracker_of(backend).totals
        assert len(totals) == FUNCTIONS_MAX + 1
        assert totals["", OTHERS, "Query"].calls == 5
        await tracker_of(backend).flush()
        assert len(await reported(backend)) == FUNCTIONS_MAX + 1


def table_rows(report: UsageReport) -> dict[tuple[str, str], tuple[int, ...]]:
    """Documents read, written and stored of each table."""
    return {
        (row.component, row.table): (
            row.read_documents,
            row.written_documents,
            row.stored_documents,
        )
        for row in report.tables
    }


async def test_tables_count_what_functions_read_and_write() -> None:
    async with running_backend(functions()) as backend:
        await insert(backend)
        await insert(backend)
        await backend.query("documents", {"table": "t"})
        await backend.mutate("insert", {"table": "u", "text": "b"})
        await backend.query("documents", {"table": "nowhere"})
        report = await tracker_of(backend).report(None, None)
        assert table_rows(report) == {("", "t"): (2, 2, 2), ("", "u"): (0, 1, 1)}
        (t, u) = report.tables
        assert t.read_bytes == t.written_bytes == t.stored_bytes > 0
        assert (u.read_bytes, u.written_bytes) == (0, u.stored_bytes)
        assert "t" not in {row.function for row in report.rows}


async def test_tables_are_reported_after_a_restart_and_while_nobody_uses_them() -> None:
    persistence = MemoryPersistence()
    async with running_backend(functions(), persistence=persistence) as backend:
        await insert(backend)
    async with running_backend(functions(), persistence=persistence) as backend:
        tracker = tracker_of(backend)
        assert table_rows(await tracker.report(None, None)) == {("", "t"): (0, 1, 1)}
        report = await tracker.report("2020-01-01", "2020-01-01")
        assert table_rows(report) == {("", "t"): (0, 0, 1)}


async def test_the_number_of_tables_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_module, "TABLES_MAX", 2)
    async with running_backend(functions()) as backend:
        for name in "abcd":
            await backend.mutate("insert", {"table": name, "text": "x"})
        report = await tracker_of(backend).report(None, None)
        written = {table: counts[1] for (_, table), counts in table_rows(report).items()}
        assert written == {"a": 1, "b": 1, "c": 0, "d": 0, OTHERS: 2}
        # Tables leave room for functions.
        assert tracker_of(backend).totals[MUTATION].calls == 4


async def test_what_comes_into_actions_is_counted() -> None:
    async with running_backend(functions()) as backend:
        record(tracker_of(backend), ("", "a:b", "Action"), outcome(**RAN, ingress_bytes=9))
        assert tracker_of(backend).totals["", "a:b", "Action"].ingress_bytes == 9


async def test_what_was_stored_is_there_after_a_restart_and_goes_on() -> None:
    persistence = MemoryPersistence()
    for calls in (1, 2):
        async with running_backend(functions(), persistence=persistence) as backend:
            await insert(backend)
            assert (await reported(backend))["app:insert"].calls == calls


async def test_nothing_new_is_nothing_to_store() -> None:
    async with running_backend(functions()) as backend:
        await insert(backend)
        await tracker_of(backend).flush()
        stored_ts = backend.database.latest_ts()
        await tracker_of(backend).flush()
        assert backend.database.latest_ts() == stored_ts
        await insert(backend)
        assert (await reported(backend))["app:insert"].calls == 2


async def test_what_could_not_be_stored_is_stored_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_backend(functions()) as backend:
        await insert(backend)
        with monkeypatch.context() as patched:
            patched.setattr(backend.database, "commit", _refuse)
            with pytest.raises(FenchelError):
                await tracker_of(backend).flush()
        assert (await reported(backend))["app:insert"].calls == 1
        await tracker_of(backend).flush()
        assert (await reported(backend))["app:insert"].calls == 1


async def _refuse(*_args: Any, **_options: Any) -> None:
    raise internal_error("disk full")


async def test_days_are_apart_and_old_ones_go() -> None:
    clock = ManualClock()
    async with running_backend(functions(), runtime=Runtime(clock=clock)) as backend:
        await insert(backend)
        await tracker_of(backend).flush()
        clock.seconds = DAY_SECONDS
        await insert(backend)
        await insert(backend)
        await tracker_of(backend).flush()
        assert (await reported(backend))["app:insert"].calls == 2
        assert (await reported(backend, "2023-11-14", "2023-11-14"))["app:insert"].calls == 1
        assert (await reported(backend, "2023-11-14", "2023-11-15"))["app:insert"].calls == 3
        clock.seconds = 93 * DAY_SECONDS
        await insert(backend)
        await tracker_of(backend).flush()
        assert await reported(backend, "2023-11-14", "2023-11-15") == {}


@pytest.mark.parametrize(
    "days", [("2023-11-15", "2023-11-14"), ("2020-01-01", "2023-11-14"), ("x", "2023-11-14")]
)
async def test_senseless_days_are_refused(days: tuple[str, str]) -> None:
    async with running_backend(functions()) as backend:
        with pytest.raises(FenchelError, match="BadUsageDays"):
            await tracker_of(backend).report(*days)


async def test_files_count_by_their_way() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"12345"

    async with running_backend(functions()) as backend:
        files = backend.application.files
        storage_id = await files.upload("", content(), content_type=None, sha256=None)
        part = await files.open_part(storage_id, "", 1, 3)
        assert await part.read() == b"234"
        part.cancel()
        files.record_download("", 3)
        rows = await reported(backend)
        assert rows["upload"].file_written_bytes == 5
        assert (rows["storage.get"].file_read_bytes, rows["download"].file_read_bytes) == (3, 3)
