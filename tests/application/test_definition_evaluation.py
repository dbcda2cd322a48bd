"""Definitions are evaluated children first, each with what its children export (execution 6.6)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from fenchel.application import StartPushRequest
from fenchel.application.definition_evaluation import decode_definitions, evaluate_definitions
from fenchel.application.evaluation_cache import EvaluationCache
from fenchel.errors import FenchelError
from fenchel.isolate import BundleInputs
from fenchel.udf import JsError
from tests.application.fakes import FakeFunctionRunner

INPUTS = BundleInputs(
    modules=(), environment_variables={"SECRET": "s"}, import_seed=bytes(32), import_unix_ms=0
)


def source(path: str, dependencies: list[str]) -> dict[str, Any]:
    """A definition module that imports its dependencies as the CLI writes it."""
    ids = [base64.urlsafe_b64encode(d.encode()).decode().rstrip("=") for d in dependencies]
    imports = "".join(f'import c{n} from"./_componentDeps/{id}";' for n, id in enumerate(ids))
    return {"path": "convex.config.js", "source": f"{imports}/* {path} */"}


def push(app: list[str], **components: list[str]) -> StartPushRequest:
    return msgspec.convert(
        {
            "appDefinition": {
                "definition": source("", app),
                "dependencies": app,
                "udfServerVersion": "1.48.0",
            },
            "componentDefinitions": [
                {
                    "definitionPath": path,
                    "definition": source(path, dependencies),
                    "dependencies": dependencies,
                    "udfServerVersion": "1.48.0",
                }
                for path, dependencies in components.items()
            ],
        },
        StartPushRequest,
    )


class RecordingRunner(FakeFunctionRunner):
    def __init__(self) -> None:
        super().__init__()
        self.evaluated: list[BundleInputs] = []

    async def evaluate_app_definition(self, inputs: BundleInputs) -> str | JsError:
        self.evaluated.append(inputs)
        name = inputs.modules[0].source.rpartition("/* ")[2].removesuffix(" */")
        return msgspec.json.encode({"name": f"name of {name}"}).decode()


async def test_children_are_evaluated_before_their_parents() -> None:
    runner = RecordingRunner()
    request = push(["b", "a"], a=["c"], b=["a"], c=[])
    assert list(await evaluate_definitions(request, EvaluationCache(runner), INPUTS)) == [
        "c",
        "a",
        "b",
        "",
    ]
    assert [dict(i.environment_variables) for i in runner.evaluated] == [
        {},
        {},
        {},
        {"SECRET": "s"},
    ]


async def test_imports_lead_to_modules_that_describe_the_children() -> None:
    runner = RecordingRunner()
    await evaluate_definitions(push(["a"], a=[]), EvaluationCache(runner), INPUTS)
    main, chunk = runner.evaluated[-1].modules
    assert main.source.startswith(f'import c0 from"./{chunk.path}";')
    assert 'componentDefinitionPath: "a"' in chunk.source
    assert 'defaultName: "name of a"' in chunk.source


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (push(["a"], a=["b"], b=["a"]), "CyclicImport", "a uses b uses a"),
        (push(["a"], a=["a"]), "CyclicImport", "a uses a"),
        (push(["gone"]), "InvalidDefinition", "the app uses 'gone'"),
    ],
)
async def test_graphs_that_cannot_be_built(
    request_: StartPushRequest, code: str, text: str
) -> None:
    with pytest.raises(FenchelError) as caught:
        await evaluate_definitions(request_, EvaluationCache(RecordingRunner()), INPUTS)
    assert caught.value.code == code
    assert text in caught.value.message


async def test_a_definition_that_throws_names_its_component() -> None:
    class Failing(FakeFunctionRunner):
        async def evaluate_app_definition(self, inputs: BundleInputs) -> str | JsError:
            return JsError(message="Uncaught Error: no")

    with pytest.raises(FenchelError, match=r"convex.config.ts of a failed:\nUncaught Error: no"):
        await evaluate_definitions(push(["a"], a=[]), EvaluationCache(Failing()), INPUTS)


def test_the_app_and_components_cannot_stand_for_each_other() -> None:
    with pytest.raises(FenchelError, match="defineComponent"):
        decode_definitions({"a": '{"definitionType":{"type":"app"}}'})
