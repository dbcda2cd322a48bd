"""Which executions the query cache spares, and which it must not (execution 7.1)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from fenchel.application.query_cache import QueryCache
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime, Settings
from fenchel.udf import QueryJournal
from fenchel.values import Value
from tests.application.fakes import (
    Backend,
    Ctx,
    FakeFunctionRunner,
    ManualClock,
    UserCodeError,
    call,
    document_functions,
    running_backend,
    user,
)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(document_functions()) as backend:
        yield backend


async def test_an_equal_query_is_served_from_the_cache(backend: Backend) -> None:
    assert await backend.query("documents", {"table": "t"}) == []
    assert await backend.query("documents", {"table": "t"}) == []
    assert backend.runner.runs == {"documents": 1}


async def test_other_arguments_are_another_query(backend: Backend) -> None:
    await backend.query("documents", {"table": "t"})
    await backend.query("documents", {"table": "u"})
    assert backend.runner.runs == {"documents": 2}


async def test_a_write_to_what_was_read_invalidates(backend: Backend) -> None:
    assert await backend.query("documents", {"table": "t"}) == []
    await backend.mutate("insert", {"table": "t", "text": "a"})
    assert await backend.query("documents", {"table": "t"}) == ["a"]
    assert backend.runner.runs["documents"] == 2


async def test_a_write_elsewhere_does_not_invalidate(backend: Backend) -> None:
    await backend.mutate("insert", {"table": "other", "text": "a"})
    await backend.query("documents", {"table": "t"})
    await backend.mutate("insert", {"table": "other", "text": "b"})
    await backend.query("documents", {"table": "t"})
    assert backend.runner.runs["documents"] == 1


async def test_callers_share_results_that_do_not_depend_on_them(backend: Backend) -> None:
    await backend.query("documents", {"table": "t"}, identity=user("ann"))
    await backend.query("documents", {"table": "t"}, identity=user("bob"))
    await backend.query("documents", {"table": "t"})
    assert backend.runner.runs == {"documents": 1}


async def test_callers_do_not_share_results_that_depend_on_them(backend: Backend) -> None:
    ann = await backend.query("whoami", identity=user("ann"))
    bob = await backend.query("whoami", identity=user("bob"))
    assert ann != bob
    assert await backend.query("whoami", identity=user("ann")) == ann
    assert await backend.query("whoami") == ""
    assert backend.runner.runs == {"whoami": 3}


async def test_failures_are_not_cached(backend: Backend) -> None:
    for _ in range(2):
        run = await backend.application.run_query(call("broken"))
        assert not run.result.is_success
    assert backend.runner.runs == {"broken": 2}


async def test_the_same_failure_has_the_same_fingerprint(backend: Backend) -> None:
    first = await backend.application.run_query(call("broken"))
    second = await backend.application.run_query(
        structs.replace(call("broken"), request_id="f" * 16)
    )
    assert first.result.error_message != second.result.error_message
    assert first.read_fingerprint() == second.read_fingerprint()


async def test_results_that_saw_the_clock_expire() -> None:
    clock = ManualClock()
    async with running_backend(document_functions(), runtime=Runtime(clock=clock)) as backend:
        first = await backend.query("now")
        clock.seconds = 16.9
        assert await backend.query("now") == first
        clock.seconds = 17.1
        assert await backend.query("now") != first


async def test_an_older_snapshot_is_not_served_a_newer_result(backend: Backend) -> None:
    old_ts = backend.application.latest_ts()
    await backend.mutate("insert", {"table": "t", "text": "a"})
    assert await backend.query("documents", {"table": "t"}) == ["a"]
    run = await backend.application.run_query(call("documents", {"table": "t"}), ts=old_ts)
    assert run.result.value_json == "[]"
    assert run.ts == old_ts
    assert run.token.ts == old_ts
    assert await backend.query("documents", {"table": "t"}) == ["a"]
    assert backend.runner.runs["documents"] == 2


class Gate:
    """A query that waits until the test lets it go on."""

    def __init__(self, runner: FakeFunctionRunner, *, fails: bool = False) -> None:
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()

        @runner.query
        async def slow(ctx: Ctx, args: dict[str, Any]) -> Value:
            self.entered.set()
            await self.leave.wait()
            if fails:
                raise UserCodeError("no")
            return "done"


async def test_equal_queries_at_once_run_once() -> None:
    runner = FakeFunctionRunner()
    gate = Gate(runner)
    async with running_backend(runner) as backend, asyncio.TaskGroup() as group:
        tasks = [group.create_task(backend.query("slow")) for _ in range(10)]
        await gate.entered.wait()
        gate.leave.set()
        assert await asyncio.gather(*tasks) == ["done"] * 10
        assert runner.runs == {"slow": 1}


async def test_who_waits_runs_the_query_if_the_first_caller_is_cancelled() -> None:
    runner = FakeFunctionRunner()
    gate = Gate(runner)
    async with running_backend(runner) as backend, asyncio.TaskGroup() as group:
        first = group.create_task(backend.query("slow"))
        await gate.entered.wait()
        others = [group.create_task(backend.query("slow")) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        gate.leave.set()
        assert await asyncio.gather(*others) == ["done"] * 3
        assert runner.runs == {"slow": 2}


async def test_who_waits_may_leave() -> None:
    runner = FakeFunctionRunner()
    gate = Gate(runner)
    async with running_backend(runner) as backend, asyncio.TaskGroup() as group:
        first = group.create_task(backend.query("slow"))
        await gate.entered.wait()
        second, third = (group.create_task(backend.query("slow")) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        gate.leave.set()
        assert await first == await third == "done"
        assert runner.runs == {"slow": 1}


async def test_a_run_that_nobody_waits_for_is_cancelled() -> None:
    runner = FakeFunctionRunner()
    gate = Gate(runner)
    async with running_backend(runner) as backend, asyncio.TaskGroup() as group:
        only = group.create_task(backend.query("slow"))
        await gate.entered.wait()
        only.cancel()
        await asyncio.wait([only])
        gate.entered.clear()
        again = group.create_task(backend.query("slow"))
        await gate.entered.wait()
        gate.leave.set()
        assert await again == "done"
        assert runner.runs == {"slow": 2}


async def test_all_who_wait_for_a_run_that_takes_too_long_are_told() -> None:
    settings = Settings()
    isolate = replace(settings.isolate, user_time_seconds_max=0.2, system_time_seconds_max=0.2)
    runner = FakeFunctionRunner()
    gate = Gate(runner)
    runtime = Runtime(settings=replace(settings, isolate=isolate))
    async with running_backend(runner, runtime=runtime) as backend:
        both = await asyncio.gather(
            backend.query("slow"), backend.query("slow"), return_exceptions=True
        )
        assert [error.code for error in both if isinstance(error, FenchelError)] == [
            "QueryTimedOut",
            "QueryTimedOut",
        ]
        gate.leave.set()
        assert await backend.query("slow") == "done"
        assert runner.runs == {"slow": 2}


async def test_the_oldest_entries_go_when_the_cache_is_full() -> None:
    settings = Settings()
    small = replace(
        settings, application=replace(settings.application, query_cache_bytes_max=9_000)
    )
    async with running_backend(document_functions(), runtime=Runtime(settings=small)) as backend:
        for number in range(20):
            await backend.query("documents", {"table": f"t{number}"})
        cache: QueryCache = backend.application._runners.queries.cache
        cache.check_invariants()
        await backend.query("documents", {"table": "t19"})
        assert backend.runner.runs == {"documents": 20}
        await backend.query("documents", {"table": "t0"})
        assert backend.runner.runs == {"documents": 21}


async def test_a_paginated_query_is_found_under_its_own_journal() -> None:
    runner = FakeFunctionRunner()

    @runner.query
    async def page(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.outcome["journal"] = QueryJournal(end_cursor="cursor-1")
        return ctx.request.journal.end_cursor

    async with running_backend(runner) as backend:
        first = await backend.application.run_query(call("page"))
        assert first.journal is not None
        assert "cursor-1" not in first.journal
        second = await backend.application.run_query(call("page"), journal=first.journal)
        assert second.journal == first.journal
        assert runner.runs == {"page": 1}
        forged = await backend.application.run_query(call("page"), journal="forged")
        assert forged.result == first.result


async def test_what_is_known_is_found_without_a_run(backend: Backend) -> None:
    application, asked = backend.application, call("documents", {"table": "t"})
    assert application.find_query(asked, ts=application.latest_ts()) is None
    assert backend.runner.runs == {}
    await application.run_query(asked)
    found = application.find_query(asked, ts=application.latest_ts())
    assert found is not None
    assert (found.result.value_json, found.ts) == ("[]", application.latest_ts())
    await backend.mutate("insert", {"table": "t", "text": "a"})
    assert application.find_query(asked, ts=application.latest_ts()) is None
    assert lookups(backend) == {"unknown": 1, "hit": 1}
    page = await application.function_log.stream(0.5, is_structured=True)
    told = [entry["cachedResult"] for entry in page.entries if entry["udfType"] == "Query"]
    assert told == [False, True]


class TestReasons:
    """Why queries run is counted, and told with each run in the function log."""

    async def test_each_lookup_counts_once_under_what_became_of_it(self) -> None:
        clock = ManualClock()
        async with running_backend(document_functions(), runtime=Runtime(clock=clock)) as backend:
            ts = backend.application.latest_ts()
            await backend.mutate("insert", {"table": "other", "text": "a"})
            repeat = await repetition(backend, "documents", {"table": "t"})
            await backend.application.run_query(call("documents", {"table": "t"}), ts=ts)
            await backend.mutate("insert", {"table": "t", "text": "a"})
            assert not repeat()
            await backend.query("documents", {"table": "t"})
            await backend.query("now")
            clock.seconds = 20.0
            await backend.query("now")
            counted = lookups(backend)
        assert counted == {"unknown": 2, "hit": 1, "past": 1, "changed": 1, "expired": 1}

    async def test_who_waits_for_a_run_of_another_shares_it(self) -> None:
        runner = FakeFunctionRunner()
        gate = Gate(runner)
        async with running_backend(runner) as backend, asyncio.TaskGroup() as group:
            tasks = [group.create_task(backend.query("slow")) for _ in range(3)]
            await gate.entered.wait()
            gate.leave.set()
            await asyncio.gather(*tasks)
            assert lookups(backend) == {"unknown": 1, "shared": 2}

    async def test_a_repetition_is_a_hit_and_a_changed_answer_is_none(
        self, backend: Backend
    ) -> None:
        repeat = await repetition(backend, "documents", {"table": "t"})
        before = lookups(backend)["hit"]
        assert repeat()
        await backend.mutate("insert", {"table": "t", "text": "a"})
        assert not repeat()
        assert lookups(backend)["hit"] == before + 1

    async def test_the_log_names_the_document_and_the_function_that_changed_it(
        self, backend: Backend
    ) -> None:
        await backend.mutate("insert", {"table": "t", "text": "it makes the table"})
        await backend.query("documents", {"table": "t"})
        document_id = await backend.mutate("insert", {"table": "t", "text": "a"})
        await backend.mutate("insert", {"table": "t", "text": "b"})
        await backend.query("documents", {"table": "t"})
        await backend.query("documents", {"table": "t"})
        page = await backend.application.function_log.stream(0.5, is_structured=True)
        told = [entry.get("cacheMiss") for entry in page.entries if entry["udfType"] == "Query"]
        assert told == [
            {"reason": "unknown"},
            {
                "reason": "changed",
                "tableName": "t",
                "documentId": document_id,
                "writeSource": "app:insert",
            },
            None,
        ]

    async def test_commits_that_are_not_known_any_more(self, backend: Backend) -> None:
        await backend.query("documents", {"table": "t"})
        await backend.mutate("insert", {"table": "t", "text": "a"})
        log = backend.database._log
        log.trim(log._commits[-1].ts + 10**18)
        await backend.query("documents", {"table": "t"})
        assert lookups(backend) == {"unknown": 1, "forgotten": 1}


def lookups(backend: Backend) -> dict[str, int]:
    counts = backend.application.query_cache_statistics.lookups
    return {outcome: count for outcome, count in counts.items() if count}


async def test_a_stopped_database_answers_nothing_from_memory(backend: Backend) -> None:
    """Another server may have taken over and written (decision 0018)."""
    repeat = await repetition(backend, "documents", {"table": "t"})
    await backend.database.close()
    assert not repeat()
    with pytest.raises(FenchelError, match="shutting down"):
        await backend.query("documents", {"table": "t"})


class TestRepetition:
    """An answer that is given again without a call."""

    async def test_a_first_answer_cannot_be_repeated(self, backend: Backend) -> None:
        run = await backend.application.run_query(call("documents", {"table": "t"}))
        assert run.repeat is None

    async def test_a_cached_answer_can_until_a_commit_touches_it(self, backend: Backend) -> None:
        repeat = await repetition(backend, "documents", {"table": "t"})
        assert repeat()
        await backend.mutate("insert", {"table": "other", "text": "a"})
        assert repeat()
        await backend.mutate("insert", {"table": "t", "text": "a"})
        assert not repeat()
        assert not repeat()

    async def test_not_when_the_query_ran_again_meanwhile(self, backend: Backend) -> None:
        repeat = await repetition(backend, "documents", {"table": "t"})
        await backend.mutate("insert", {"table": "t", "text": "a"})
        assert await backend.query("documents", {"table": "t"}) == ["a"]
        assert not repeat()

    async def test_the_same_result_of_another_run_is_the_same_answer(self) -> None:
        runner = document_functions()
        documents = runner.functions["documents"][1]

        @runner.query
        async def constant(ctx: Ctx, args: dict[str, Any]) -> Value:
            await documents(ctx, args)
            return "same"

        async with running_backend(runner) as backend:
            repeat = await repetition(backend, "constant", {"table": "t"})
            await backend.mutate("insert", {"table": "t", "text": "a"})
            assert not repeat()
            await backend.query("constant", {"table": "t"})
            assert repeat()

    async def test_not_from_the_past(self, backend: Backend) -> None:
        ts = backend.application.latest_ts()
        await backend.query("documents", {"table": "t"})
        run = await backend.application.run_query(call("documents", {"table": "t"}), ts=ts)
        assert run.repeat is None

    async def test_not_when_it_saw_the_clock_too_long_ago(self) -> None:
        clock = ManualClock()
        async with running_backend(document_functions(), runtime=Runtime(clock=clock)) as backend:
            repeat = await repetition(backend, "now")
            clock.seconds = 16.9
            assert repeat()
            clock.seconds = 17.1
            assert not repeat()

    async def test_failures_are_not_repeated(self) -> None:
        runner = FakeFunctionRunner()
        gate = Gate(runner, fails=True)
        async with running_backend(runner) as backend, asyncio.TaskGroup() as group:
            runs = [
                group.create_task(backend.application.run_query(call("slow"))) for _ in range(2)
            ]
            await gate.entered.wait()
            gate.leave.set()
            assert [(await run).repeat for run in runs] == [None, None]

    async def test_each_is_an_execution_of_its_own_in_the_log(self, backend: Backend) -> None:
        repeat = await repetition(backend, "documents", {"table": "t"})
        assert repeat()
        assert repeat()
        page = await backend.application.function_log.stream(0.5, is_structured=True)
        ran, hit, *repeated = page.entries
        assert [entry["cachedResult"] for entry in (ran, hit, *repeated)] == [False, *[True] * 3]
        for field in ("requestId", "executionId", "timestamp"):
            assert len({entry[field] for entry in page.entries[1:]}) == 3, field
        changing = {"requestId", "executionId", "timestamp", "executionTimestamp"}
        for entry in repeated:
            assert {name: hit[name] for name in hit.keys() - changing} == {
                name: entry[name] for name in entry.keys() - changing
            }
            assert len(entry["requestId"]) == 16
            assert uuid.UUID(entry["executionId"]).version == 4
            assert abs(entry["executionTimestamp"] - entry["timestamp"]) < 0.01


async def repetition(
    backend: Backend, name: str, args: dict[str, Value] | None = None
) -> Callable[[], bool]:
    """What comes with the second answer."""
    await backend.query(name, args)
    run = await backend.application.run_query(call(name, args))
    assert run.repeat is not None
    return run.repeat
