"""Realms that run many executions, on a real database: who may not stay runs once more, and takes
effect once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from fenchel.isolate import ModuleSource
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import UdfOutcome
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
export const fails = query(async () => { throw new Error(`count ${count++}`); });
"""
_BEFORE_WARM = 200


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def warm_app() -> AsyncIterator[App]:
    isolate = replace(IsolateSettings(), worker_count=1, warm_realms_max=2)
    modules = (ModuleSource(path="notes.js", source=_SOURCE),)
    async with running_app(Runtime(settings=Settings(isolate=isolate)), modules) as app:
        yield app


async def _until_warm(app: App) -> UdfOutcome:
    for _ in range(_BEFORE_WARM):
        outcome = await app.query("notes:rows")
        if outcome.context_reused:
            return outcome
    raise AssertionError("no realm was ever warm")


async def test_a_warm_realm_reads_the_database_at_its_own_snapshot(warm_app: App) -> None:
    before = value_of(await _until_warm(warm_app))
    await warm_app.mutation("notes:countUp")
    outcome = await warm_app.query("notes:rows")
    assert outcome.context_reused
    assert value_of(outcome) == before + 1


async def test_module_state_begins_anew_each_time(warm_app: App) -> None:
    await _until_warm(warm_app)
    outcomes = [await warm_app.mutation("notes:countUp") for _ in range(3)]
    assert [value_of(outcome) for outcome in outcomes] == [0, 0, 0]
    assert all(outcome.context_reused for outcome in outcomes)


async def test_what_cannot_be_undone_runs_again_fresh_and_takes_effect_once(warm_app: App) -> None:
    before = value_of(await _until_warm(warm_app))
    first = await warm_app.mutation("notes:keep")
    assert (value_of(first), first.context_reused) == (1, False)
    assert value_of(await warm_app.query("notes:rows")) == before + 2
    second = await warm_app.mutation("notes:keep")
    assert (value_of(second), second.context_reused) == (1, False)


async def test_an_error_leaves_nothing_behind_either(warm_app: App) -> None:
    await _until_warm(warm_app)
    messages = [error_of(await warm_app.query("notes:fails")).message for _ in range(3)]
    assert messages == ["Uncaught Error: count 0"] * 3


async def test_without_the_setting_every_context_is_fresh() -> None:
    modules = (ModuleSource(path="notes.js", source=_SOURCE),)
    async with running_app(modules=modules) as app:
        outcomes = [await app.query("notes:rows") for _ in range(40)]
        assert not any(outcome.context_reused for outcome in outcomes)
