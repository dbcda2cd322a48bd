"""Mutations take effect once: conflicts are retried, repeats answered (execution 4.6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from fenchel.application import SessionRequest
from fenchel.errors import ConflictError, FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.values import COMMIT_TS, Value, decode_json
from tests.application.fakes import (
    REQUEST_ID,
    Backend,
    Ctx,
    FakeFunctionRunner,
    UserCodeError,
    call,
    running_backend,
)
from tests.database.helpers import scan


class HastyClock:
    """The system's wall clock, on which all sleeps are short."""

    def __init__(self) -> None:
        self._system = Runtime().clock
        self.slept_seconds: list[float] = []

    def now_ns(self) -> int:
        return self._system.now_ns()

    def monotonic(self) -> float:
        return self._system.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.slept_seconds.append(seconds)
        await self._system.sleep(0)


async def read_counter(ctx: Ctx) -> tuple[str | None, float]:
    query = {
        "source": {"type": "FullTableScan", "tableName": "counters", "order": None},
        "operators": [],
    }
    document = await ctx.tx.user().open_stream(query).next()
    if document is None:
        return None, 0.0
    value = document.value["value"]
    assert isinstance(value, float)
    return document.id_text, value


def functions() -> FakeFunctionRunner:
    runner = FakeFunctionRunner()

    @runner.mutation
    async def increment(ctx: Ctx, args: dict[str, Any]) -> Value:
        id_text, value = await read_counter(ctx)
        # Other increments get their turn between this one's read and its write.
        await asyncio.sleep(0)
        ctx.log("counting")
        if id_text is None:
            await ctx.tx.user().insert("counters", {"value": value + 1})
        else:
            await ctx.tx.user().patch(id_text, {"value": value + 1})
        return value + 1

    @runner.query
    async def get(ctx: Ctx, args: dict[str, Any]) -> Value:
        return (await read_counter(ctx))[1]

    @runner.mutation
    async def stamp(ctx: Ctx, args: dict[str, Any]) -> Value:
        id_text = await ctx.tx.user().insert("stamps", {"ts": COMMIT_TS})
        return {"id": id_text, "ts": COMMIT_TS}

    @runner.query
    async def stamps(ctx: Ctx, args: dict[str, Any]) -> Value:
        stream = ctx.tx.user().open_stream(scan("stamps"))
        found: list[Value] = []
        while (document := await stream.next()) is not None:
            found.append(document.value["ts"])
        return found

    @runner.mutation
    async def broken(ctx: Ctx, args: dict[str, Any]) -> Value:
        await ctx.tx.user().insert("counters", {"value": 1.0})
        raise UserCodeError("on purpose")

    return runner


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(functions(), runtime=Runtime(clock=HastyClock())) as backend:
        yield backend


async def test_a_mutation_commits_and_is_readable_at_its_timestamp(backend: Backend) -> None:
    run = await backend.application.run_mutation(call("increment"))
    assert run.result.is_success
    assert run.result.value_json == "1.0"
    assert run.ts is not None
    assert run.ts <= backend.application.latest_ts()
    assert await backend.query("get") == 1.0


async def test_a_returned_commit_timestamp_is_that_of_the_commit(backend: Backend) -> None:
    run = await backend.application.run_mutation(call("stamp"))
    result = decode_json(run.result.value_json)
    assert isinstance(result, dict)
    assert result["ts"] == run.ts
    assert await backend.query("stamps") == [run.ts]


async def test_a_repeated_request_gets_the_first_commits_timestamp(backend: Backend) -> None:
    session = SessionRequest("session", 7)
    first = await backend.application.run_mutation(call("stamp"), session=session)
    await backend.mutate("increment")
    again = await backend.application.run_mutation(call("stamp"), session=session)
    assert again.result.value_json == first.result.value_json
    assert await backend.query("stamps") == [first.ts]


async def test_a_failing_mutation_writes_nothing_and_shows_its_error(backend: Backend) -> None:
    run = await backend.application.run_mutation(call("broken"))
    assert run.ts is None
    assert run.result.error_message == (
        f"[Request ID: {REQUEST_ID}] Server Error\nUncaught Error: on purpose\n"
    )
    assert await backend.query("get") == 0.0


async def test_redaction_hides_messages_and_lines_but_not_data() -> None:
    settings = Runtime().settings
    redacting = replace(settings, application=replace(settings.application, redact_errors=True))
    async with running_backend(functions(), runtime=Runtime(settings=redacting)) as backend:
        failure = await backend.application.run_mutation(call("broken"))
        assert failure.result.error_message == f"[Request ID: {REQUEST_ID}] Server Error"
        success = await backend.application.run_mutation(call("increment"))
        assert success.result.log_lines == ()


async def test_concurrent_increments_are_all_counted() -> None:
    """More conflicts than clients ever see: each loser waits and runs again."""
    settings = Runtime().settings
    patient = replace(settings, application=replace(settings.application, occ_retries_max=64))
    runtime = Runtime(clock=HastyClock(), settings=patient)
    async with running_backend(functions(), runtime=runtime) as backend:
        values = await asyncio.gather(*(backend.mutate("increment") for _ in range(64)))
        assert sorted(values) == [float(n) for n in range(1, 65)]  # type: ignore[type-var]
        assert await backend.query("get") == 64.0
        assert backend.runner.runs["increment"] > 64


async def test_retries_back_off_and_end_in_a_conflict() -> None:
    """A function that outstays its turn each time loses even so."""
    runner = functions()
    running: list[Backend] = []

    @runner.mutation
    async def unlucky(ctx: Ctx, args: dict[str, Any]) -> Value:
        id_text, value = await read_counter(ctx)
        assert id_text is not None
        await running[0].mutate("increment")
        await ctx.tx.user().patch(id_text, {"value": value + 100})
        return None

    settings = Runtime().settings
    brief = replace(settings, database=replace(settings.database, reservation_seconds_max=0.01))
    clock = HastyClock()
    async with running_backend(runner, runtime=Runtime(clock=clock, settings=brief)) as backend:
        running.append(backend)
        await backend.mutate("increment")
        with pytest.raises(ConflictError) as caught:
            await backend.application.run_mutation(call("unlucky"))
    assert caught.value.code == "OptimisticConcurrencyControlFailure"
    source = caught.value.source
    assert caught.value.message == (
        f'Documents read from or written to the "{source.table_name}" table changed while this '
        "mutation was being run and on every subsequent retry. "
        f'A call to "{source.write_source}" changed the document with ID "{source.document_id}". '
        "See https://docs.convex.dev/error#1"
    )
    assert (source.write_source or "").endswith("increment")
    assert runner.runs["unlucky"] == 5
    ceilings = [0.1, 0.2, 0.4, 0.8]
    assert len(clock.slept_seconds) == len(ceilings)
    assert all(s <= c for s, c in zip(clock.slept_seconds, ceilings, strict=True))


async def test_a_mutation_that_keeps_losing_gets_a_turn(backend: Backend) -> None:
    """Rivals defeat it as long as they can (decision 0011)."""
    rivals: list[asyncio.Task[Value]] = []

    @backend.runner.mutation
    async def unlucky(ctx: Ctx, args: dict[str, Any]) -> Value:
        id_text, value = await read_counter(ctx)
        assert id_text is not None
        rivals.append(asyncio.create_task(backend.mutate("increment"), name="rival"))
        if ctx.tx.reservation is None:
            await rivals[-1]
        await ctx.tx.user().patch(id_text, {"value": value + 100})
        return None

    await backend.mutate("increment")
    await backend.mutate("unlucky")
    assert backend.runner.runs["unlucky"] == 4
    await asyncio.gather(*rivals)
    assert await backend.query("get") == 105.0


async def test_failed_attempts_are_in_the_function_log(backend: Backend) -> None:
    await backend.mutate("increment")
    has_interfered = asyncio.Event()

    @backend.runner.mutation
    async def interrupted(ctx: Ctx, args: dict[str, Any]) -> Value:
        id_text, value = await read_counter(ctx)
        assert id_text is not None
        if not has_interfered.is_set():
            has_interfered.set()
            await backend.mutate("increment")
        await ctx.tx.user().patch(id_text, {"value": value + 100})
        return None

    await backend.mutate("interrupted")
    page = await backend.application.function_log.stream(0.5, is_structured=True)
    attempts = [entry for entry in page.entries if entry["identifier"] == "app:interrupted"]
    assert [entry["willRetry"] for entry in attempts] == [True, False]
    assert attempts[0]["occInfo"]["tableName"] == "counters"
    assert attempts[1]["occInfo"] is None
    assert attempts[0]["executionId"] != attempts[1]["executionId"]
    assert {entry["requestId"] for entry in attempts} == {REQUEST_ID}


class TestSessionRequests:
    """client-protocol 3.10."""

    async def test_a_repeat_gets_the_first_answer_and_runs_nothing(self, backend: Backend) -> None:
        session = SessionRequest("session", 7)
        first = await backend.application.run_mutation(call("increment"), session=session)
        again = await backend.application.run_mutation(call("increment"), session=session)
        assert again.result.value_json == first.result.value_json
        assert [line.pretty for line in again.result.log_lines] == ["[LOG] 'counting'"]
        assert first.ts is not None
        assert again.ts is not None
        assert again.ts >= first.ts
        assert backend.runner.runs["increment"] == 1

    async def test_other_requests_and_sessions_run(self, backend: Backend) -> None:
        for session in (SessionRequest("a", 0), SessionRequest("a", 1), SessionRequest("b", 0)):
            await backend.application.run_mutation(call("increment"), session=session)
        assert await backend.query("get") == 3.0

    async def test_concurrent_repeats_take_effect_once(self, backend: Backend) -> None:
        session = SessionRequest("session", 7)
        runs = await asyncio.gather(
            *(
                backend.application.run_mutation(call("increment"), session=session)
                for _ in range(4)
            )
        )
        assert {run.result.value_json for run in runs} == {"1.0"}
        assert await backend.query("get") == 1.0

    async def test_failures_are_not_remembered(self, backend: Backend) -> None:
        session = SessionRequest("session", 7)
        for _ in range(2):
            await backend.application.run_mutation(call("broken"), session=session)
        assert backend.runner.runs["broken"] == 2

    async def test_the_record_survives_a_restart(self) -> None:
        persistence = MemoryPersistence()
        session = SessionRequest("session", 7)
        for _ in range(2):
            async with running_backend(functions(), persistence=persistence) as backend:
                await backend.application.run_mutation(call("increment"), session=session)
                assert await backend.query("get") == 1.0


async def test_an_unusable_path_is_a_bad_request(backend: Backend) -> None:
    with pytest.raises(FenchelError, match="BadConvexFunctionIdentifier"):
        await backend.application.run_mutation(structs.replace(call("increment"), path="a-b:c"))


async def test_components_are_not_found(backend: Backend) -> None:
    with pytest.raises(FenchelError, match="ComponentPathNotFound"):
        await backend.application.run_mutation(structs.replace(call("increment"), component="hits"))
