"""Each measure moves for its reason, and for no other (execution 7.7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings
from tests.function_runner.harness import App, running_app

pytestmark = pytest.mark.asyncio(loop_scope="module")
SETTINGS = Settings(isolate=IsolateSettings(worker_count=1, warm_realms_max=0))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app() -> AsyncIterator[App]:
    async with running_app(Runtime(settings=SETTINGS)) as running:
        yield running


class Page:
    """What changed of the measures since it was made."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._before = self._read()

    def _read(self) -> dict[tuple[str, str], float]:
        return {
            (sample.name.removeprefix("fenchel_"), ",".join(sample.labels.values())): sample.value
            for family in self._app.metrics.registry.collect()
            for sample in family.samples
        }

    def moved(self, name: str) -> dict[str, float]:
        """By label values, as text: what is another number now."""
        return {
            labels: value - self._before.get((found, labels), 0.0)
            for (found, labels), value in self._read().items()
            if found == name and value != self._before.get((found, labels), 0.0)
        }


async def test_an_execution_counts_its_time_sizes_and_memory(app: App) -> None:
    page = Page(app)
    outcome = await app.query("messages:list", {"limit": 1})
    assert page.moved("udf_execute_seconds_count") == {"Query,success": 1}
    # An attempt that a busy machine starves asks for a worker again.
    assert page.moved("udf_queue_seconds_count")["Query"] >= 1
    assert page.moved("udf_argument_bytes_sum") == {"Query": len(json.dumps([{"limit": 1}])) - 1}
    assert page.moved("udf_result_bytes_sum") == {"Query": len("[]")}
    assert page.moved("udf_heap_bytes_sum") == {"Query": outcome.memory_bytes}
    assert page.moved("udf_stopped_total") == {}


async def test_a_function_that_throws_is_an_error_but_was_not_stopped(app: App) -> None:
    page = Page(app)
    await app.query("messages:fail")
    assert page.moved("udf_execute_seconds_count") == {"Query,error": 1}
    assert page.moved("udf_result_bytes_count") == {}
    assert page.moved("udf_stopped_total") == {}


async def test_what_had_to_be_stopped_counts_by_its_reason(app: App) -> None:
    """The other reasons: `tests/isolate/test_outcomes`."""
    page = Page(app)
    await app.query("hostile:never")
    assert page.moved("udf_stopped_total") == {"Query,never_resolves": 1}


async def test_a_refused_call_begins_nothing(app: App) -> None:
    page = Page(app)
    await app.query("messages:nothing")
    assert page.moved("udf_rejected_before_execution_total") == {"validation": 1}
    assert page.moved("udf_queue_seconds_count") == {}
    assert page.moved("udf_execute_seconds_count") == {}


async def test_who_runs_is_outstanding_until_the_end(app: App) -> None:
    page = Page(app)
    running = asyncio.create_task(app.query("messages:list"), name="query")
    while not page.moved("outstanding_functions"):
        assert not running.done()
        await asyncio.sleep(0)
    assert page.moved("outstanding_functions") == {"running,Query": 1}
    await running
    assert page.moved("outstanding_functions") == {}


async def test_new_code_is_loaded_once_for_all(app: App) -> None:
    page = Page(app)
    await app.set_variable("NUMBER", "1")
    await app.query("messages:list")
    await app.query("messages:list")
    assert page.moved("module_cache_get_total") == {"false": 1, "true": 1}
    assert page.moved("module_load_seconds_count") == {"": 1}
    assert page.moved("snapshot_build_seconds_count") == {"": 1}
    assert page.moved("bundle_load_seconds_count")["success"] >= 1
    assert page.moved("module_cache_bytes")[""] > 0
