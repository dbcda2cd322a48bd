"""Equal code is evaluated once; anything that it could see makes it other code."""

from __future__ import annotations

from dataclasses import replace

from fenchel.application.evaluation_cache import EvaluationCache
from fenchel.definitions import AnalyzedModule
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.udf import JsError
from tests.application.fakes import FakeFunctionRunner

INPUTS = BundleInputs(
    modules=[ModuleSource(path="a.js", source="1")],
    environment_variables={"A": "a"},
    import_seed=bytes(32),
    import_unix_ms=0,
)


class CountingRunner(FakeFunctionRunner):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def analyze(self, inputs: BundleInputs) -> dict[str, AnalyzedModule] | JsError:
        self.count += 1
        return self.analysis

    async def evaluate_schema(self, schema: ModuleSource) -> str | JsError:
        self.count += 1
        return self.schema_json


async def test_equal_inputs_are_evaluated_once() -> None:
    runner = CountingRunner()
    cache = EvaluationCache(runner)
    first = await cache.analyze(INPUTS)
    assert await cache.analyze(replace(INPUTS, modules=list(INPUTS.modules))) is first
    await cache.evaluate_schema(INPUTS.modules[0])
    assert await cache.evaluate_schema(INPUTS.modules[0]) == runner.schema_json
    assert runner.count == 2


async def test_everything_that_code_can_see_counts() -> None:
    runner = CountingRunner()
    cache = EvaluationCache(runner)
    for inputs in (
        INPUTS,
        replace(INPUTS, modules=[ModuleSource(path="a.js", source="2")]),
        replace(INPUTS, environment_variables={"A": "b"}),
        replace(INPUTS, import_seed=bytes([1] * 32)),
        replace(INPUTS, import_unix_ms=1),
    ):
        await cache.analyze(inputs)
    assert runner.count == 5


async def test_failures_are_tried_again() -> None:
    runner = CountingRunner()
    runner.schema_json = JsError(message="no")
    cache = EvaluationCache(runner)
    assert isinstance(await cache.evaluate_schema(INPUTS.modules[0]), JsError)
    runner.schema_json = "{}"
    assert await cache.evaluate_schema(INPUTS.modules[0]) == "{}"


async def test_the_number_of_results_is_bounded() -> None:
    runner = CountingRunner()
    cache = EvaluationCache(runner)
    for number in (*range(257), 256, 0):
        await cache.analyze(replace(INPUTS, import_unix_ms=number))
    assert runner.count == 258
