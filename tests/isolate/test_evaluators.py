"""Evaluations of pushed code on the real worker (execution 1.7)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from fenchel.isolate import BundleInputs, Bundler, CodeBundle, Deployment, ModuleSource, WorkerPool
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import JsError

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUNCTION = """
export const f = Object.assign(() => 1, {
  isQuery: true, isPublic: true,
  exportArgs: () => '{"type":"any"}', exportReturns: () => "null",
});
"""


@asynccontextmanager
async def running_pool(settings: IsolateSettings) -> AsyncIterator[WorkerPool]:
    made = WorkerPool(Runtime(settings=Settings(isolate=settings)), deployment=Deployment(name="d"))
    await made.start()
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    """Its limits are met by no harmless code, however busy the machine is."""
    patient = IsolateSettings(worker_count=1, analyze_seconds_max=60, evaluation_seconds_max=60)
    async with running_pool(patient) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient() -> AsyncIterator[WorkerPool]:
    settings = IsolateSettings(worker_count=1, analyze_seconds_max=1.0, evaluation_seconds_max=0.2)
    async with running_pool(settings) as running:
        yield running


async def bundle(path: str, source: str, **environment: str) -> CodeBundle:
    inputs = BundleInputs(
        modules=[ModuleSource(path=path, source=source)],
        environment_variables=environment,
        import_seed=bytes(32),
        import_unix_ms=0,
    )
    return await Bundler().bundle(inputs, is_app=False)


async def test_functions_are_found(pool: WorkerPool) -> None:
    analyzed = await pool.analyze(await bundle("a/m.js", FUNCTION))
    assert isinstance(analyzed, dict)
    (function,) = analyzed["a/m.js"].functions
    assert (function.name, function.udf_type, function.is_internal) == ("f", "Query", False)


async def test_routes_and_crons_are_found(pool: WorkerPool) -> None:
    router = "export default {isRouter: true, getRoutes: () => [['/x/*', 'GET', () => 1]]};"
    analyzed = await pool.analyze(await bundle("http.js", router))
    assert isinstance(analyzed, dict)
    routes = analyzed["http.js"].http_routes
    assert routes is not None
    assert [(r.route.path, r.route.method) for r in routes] == [("/x/*", "GET")]
    specs = json.dumps({"c": {"name": "m:f", "args": [{}], "schedule": {"type": "hourly"}}})
    source = f"export default {{isCrons: true, export: () => {json.dumps(specs)}}};"
    analyzed = await pool.analyze(await bundle("crons.js", source))
    assert isinstance(analyzed, dict)
    crons = analyzed["crons.js"].cron_specs
    assert crons is not None
    assert crons[0].spec.udf_path == "m.js:f"


async def test_a_module_that_throws_is_named(pool: WorkerPool) -> None:
    result = await pool.analyze(await bundle("m.js", "throw new Error('at import');"))
    assert isinstance(result, JsError)
    assert "Failed to analyze m.js" in result.message
    assert "at import" in result.message


async def test_the_trace_of_a_module_that_throws_shows_pushed_code_only(pool: WorkerPool) -> None:
    source = "function fail() { throw new Error('at import'); }\nfail();"
    result = await pool.analyze(await bundle("m.js", source))
    assert isinstance(result, JsError)
    frames = [frame.text for frame in result.frames]
    assert frames == ["at fail (m.js:1:25)", "at m.js (m.js:2:1)"]


@pytest.mark.parametrize("source", ["for (;;);", "const a = []; for (;;) a.push(new Array(1e6));"])
async def test_a_module_that_does_not_end_is_an_error(impatient: WorkerPool, source: str) -> None:
    result = await impatient.analyze(await bundle("m.js", source))
    assert isinstance(result, JsError)
    assert isinstance(await impatient.analyze(await bundle("m.js", FUNCTION)), dict)


async def test_schema_auth_config_and_definition_come_as_json(pool: WorkerPool) -> None:
    schema = await bundle("schema.js", "export default {export: () => '{\"tables\":[]}'};")
    assert await pool.evaluate_schema(schema) == '{"tables":[]}'
    auth = await bundle(
        "auth.config.js", "export default {providers: [process.env.DOMAIN]};", DOMAIN="d"
    )
    text = await pool.evaluate_auth_config(auth)
    assert isinstance(text, str)
    assert json.loads(text) == {"providers": ["d"]}
    definition = await bundle("convex.config.js", "export default {export: () => ({a: 1})};")
    text = await pool.evaluate_app_definition(definition)
    assert isinstance(text, str)
    assert json.loads(text) == {"a": 1}


async def test_a_missing_default_export_is_an_error(pool: WorkerPool) -> None:
    result = await pool.evaluate_schema(await bundle("schema.js", "export const x = 1;"))
    assert isinstance(result, JsError)
    assert "must have a default export" in result.message


async def test_a_schema_that_computes_for_long_is_stopped(impatient: WorkerPool) -> None:
    outcome = await impatient.evaluate_schema(await bundle("schema.js", "for (;;);"))
    assert isinstance(outcome, JsError)
    assert "Function execution timed out (maximum duration: 0.2s)" in outcome.message
