"""What pushed code evaluated to, remembered: a save in `convex dev` changes one file and leaves a
dozen components as they were.

An evaluation depends on nothing but its inputs: time and random numbers are part of them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from fenchel.definitions import AnalyzedModule
from fenchel.function_runner import FunctionRunner
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.udf import JsError

_RESULTS_MAX = 256

_Result = TypeVar("_Result")


class EvaluationCache:
    """The push-time evaluations of a function runner. Least recently used results go first;
    failures are not kept.
    """

    def __init__(self, function_runner: FunctionRunner) -> None:
        self._function_runner = function_runner
        self._results: OrderedDict[bytes, Any] = OrderedDict()

    async def analyze(self, inputs: BundleInputs) -> dict[str, AnalyzedModule] | JsError:
        run = self._function_runner.analyze
        return await self._get(_key("analyze", inputs), lambda: run(inputs))

    async def evaluate_schema(self, schema: ModuleSource) -> str | JsError:
        run = self._function_runner.evaluate_schema
        return await self._get(_key("schema", schema), lambda: run(schema))

    async def evaluate_app_definition(self, inputs: BundleInputs) -> str | JsError:
        run = self._function_runner.evaluate_app_definition
        return await self._get(_key("definition", inputs), lambda: run(inputs))

    async def _get(
        self, key: bytes, run: Callable[[], Awaitable[_Result | JsError]]
    ) -> _Result | JsError:
        if key in self._results:
            self._results.move_to_end(key)
            found: _Result = self._results[key]
            return found
        result = await run()
        if not isinstance(result, JsError):
            self._results[key] = result
            if len(self._results) > _RESULTS_MAX:
                self._results.popitem(last=False)
        return result


def _key(kind: str, inputs: BundleInputs | ModuleSource) -> bytes:
    return hashlib.sha256(kind.encode() + msgspec.json.encode(inputs, order="sorted")).digest()
