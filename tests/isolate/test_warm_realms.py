"""Realms that run many executions, on a real database: who may not stay runs once more, and takes
effect once; what is seldom called gets none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest
import pytest_asyncio

from fenchel.isolate import ModuleSource
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import FreshCause, RealmKind, UdfOutcome, WhyFresh
from tests.function_runner.harness import App, running_app
from tests.function_runner.test_in_process_function_runner import error_of, value_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SOURCE = """
const insert = (value) =>
  Convex.asyncSyscall("1.0/insert", JSON.stringify({ table: "notes", value }));
let count = 0;
const kept = [];
const mutation = (run) => ({ isMutation: true, isPublic: true, invokeMutation: run });
const query = (run) => ({ isQuery: true, isPublic: true, invokeQuery: run });

export const countUp = mutation(async () => {
  await insert({ count });
  return JSON.stringify(count++);
});
export const keep = mutation(async () => {
  await insert({ kept: kept.length });
  kept.push("left behind");
  await insert({ kept: kept.length });
  return JSON.stringify(kept.length);
});
export const rows = query(async () => {
  const args = { query: { source: { type: "FullTableScan", tableName: "notes", order: "asc" },
                          operators: [] } };
  const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify(args)));
  let total = 0;
  for (;;) {
    const next = await Convex.asyncSyscall("1.0/queryStreamNext", JSON.stringify({ queryId }));
    if (JSON.parse(next).done) return JSON.stringify(total);
    total += 1;
  }
});
export const loops = query(async () => { for (;;) count++; });
export const hangs = query(() => new Promise(() => {}));
export const fails = query(async () => { throw new Error(`count ${count++}`); });
"""
_REUSED = """
export const experimental_reuseContext = true;
let count = 0;
export const countUp = {
  isQuery: true, isPublic: true, invokeQuery: async () => JSON.stringify(count++),
};
"""
_UNPROVEN = _SOURCE + "export const imported = new Date(0);"
_AFTER = 8
_BEFORE_WARM = 80


def _open(
    *,
    source: str = _SOURCE,
    warm_realms_max: int = 2,
    after: int = 0,
    bytes_max: int = 64 << 20,
    user_seconds_max: float = 1.0,
) -> AbstractAsyncContextManager[App]:
    isolate = replace(
        IsolateSettings(),
        worker_count=1,
        warm_realms_max=warm_realms_max,
        warm_after_executions=after,
        warm_realm_bytes_max=bytes_max,
        user_time_seconds_max=user_seconds_max,
    )
    modules = (
        ModuleSource(path="notes.js", source=source),
        ModuleSource(path="reused.js", source=_REUSED),
    )
    return running_app(Runtime(settings=Settings(isolate=isolate)), modules)


def _where(outcome: UdfOutcome) -> tuple[RealmKind, WhyFresh | None]:
    return outcome.realm, outcome.why_fresh


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def warm_app() -> AsyncIterator[App]:
    async with _open() as app:
        yield app


async def test_a_warm_realm_reads_the_database_at_its_own_snapshot(warm_app: App) -> None:
    before = value_of(await warm_app.query("notes:rows"))
    await warm_app.mutation("notes:countUp")
    outcome = await warm_app.query("notes:rows")
    assert _where(outcome) == (RealmKind.WARM, None)
    assert value_of(outcome) == before + 1


async def test_module_state_begins_anew_each_time(warm_app: App) -> None:
    outcomes = [await warm_app.mutation("notes:countUp") for _ in range(3)]
    assert [value_of(outcome) for outcome in outcomes] == [0, 0, 0]
    assert {outcome.realm for outcome in outcomes} == {RealmKind.WARM}


async def test_what_cannot_be_undone_runs_again_fresh_and_takes_effect_once(warm_app: App) -> None:
    before = value_of(await warm_app.query("notes:rows"))
    first = await warm_app.mutation("notes:keep")
    assert value_of(first) == 1
    assert _where(first) == (RealmKind.FRESH, WhyFresh(cause=FreshCause.AGAIN))
    assert value_of(await warm_app.query("notes:rows")) == before + 2
    second = await warm_app.mutation("notes:keep")
    assert (value_of(second), second.realm) == (1, RealmKind.FRESH)
    assert second.why_fresh is not None
    assert second.why_fresh.cause is FreshCause.FUNCTION
    assert "not extensible" in second.why_fresh.detail


async def test_an_error_leaves_nothing_behind_either(warm_app: App) -> None:
    messages = [error_of(await warm_app.query("notes:fails")).message for _ in range(3)]
    assert messages == ["Uncaught Error: count 0"] * 3


async def test_a_function_that_spoils_its_realms_gets_no_more_of_them(warm_app: App) -> None:
    outcomes = [await warm_app.query("notes:hangs") for _ in range(4)]
    assert {error_of(outcome).message for outcome in outcomes} == {
        "Returned promise will never resolve"
    }
    kinds = [outcome.realm for outcome in outcomes]
    assert kinds == [*[RealmKind.WARM] * 3, RealmKind.FRESH]
    assert outcomes[-1].why_fresh == WhyFresh(
        cause=FreshCause.FUNCTION, detail="ends that spoil its realm"
    )


async def test_a_module_that_opted_in_to_reuse_gets_that_instead(warm_app: App) -> None:
    outcomes = [await warm_app.query("reused:countUp") for _ in range(3)]
    assert [value_of(outcome) for outcome in outcomes] == [0, 0, 1]
    kinds = [outcome.realm for outcome in outcomes]
    assert kinds == [RealmKind.WARM, RealmKind.FRESH, RealmKind.REUSED]


async def test_without_the_setting_every_context_is_fresh() -> None:
    async with _open(warm_realms_max=0) as app:
        outcomes = [await app.query("notes:rows") for _ in range(3)]
        assert {_where(outcome) for outcome in outcomes} == {(RealmKind.FRESH, None)}


async def test_an_app_is_worth_a_realm_when_it_was_called_often() -> None:
    async with _open(after=_AFTER) as app:
        for _ in range(_AFTER - 1):
            outcome = await app.query("notes:rows")
            assert _where(outcome) == (RealmKind.FRESH, WhyFresh(cause=FreshCause.UNREADY))
        assert not app.pool._warm_scripts._builds
        await app.query("notes:rows")
        await asyncio.gather(*app.pool._warm_scripts._builds)
        # The worker makes it when it has nothing else to do, or after so many without.
        kinds = {(await app.query("notes:rows")).realm for _ in range(_BEFORE_WARM)}
        assert RealmKind.WARM in kinds


async def test_who_meets_the_time_limit_has_all_of_it_in_a_fresh_context() -> None:
    async with _open(user_seconds_max=0.2) as app:
        outcome = await app.query("notes:loops")
        message = "Function execution timed out (maximum duration: 0.2s)"
        assert error_of(outcome).message == message
        assert _where(outcome) == (RealmKind.FRESH, WhyFresh(cause=FreshCause.AGAIN))


async def test_a_realm_that_is_too_large_is_not_kept() -> None:
    async with _open(bytes_max=1 << 20) as app:
        outcomes = [await app.query("notes:rows") for _ in range(2)]
        assert {outcome.realm for outcome in outcomes} == {RealmKind.FRESH}
        why = outcomes[-1].why_fresh
        assert why is not None
        assert (why.cause, why.detail.split(" ")[:3]) == (FreshCause.APP, ["a", "realm", "takes"])


async def test_an_app_that_cannot_be_followed_says_why() -> None:
    async with _open(source=_UNPROVEN) as app:
        await app.query("notes:rows")
        why = (await app.query("notes:rows")).why_fresh
        assert why == WhyFresh(cause=FreshCause.APP, detail="Date made at import")
