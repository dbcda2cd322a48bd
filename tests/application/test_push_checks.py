"""What a push must look like before its code is loaded (deploy-protocol 2.4, 2.5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fenchel.application import StartPushRequest
from fenchel.application.push_checks import (
    check_analysis,
    check_message,
    check_push,
    resolve_modules,
)
from fenchel.definitions import AnalyzedCron, AnalyzedFunction, AnalyzedModule, CronSpec
from fenchel.errors import FenchelError
from fenchel.model import Module, PackagedModule, hash_module


def request(*modules: dict[str, Any], **fields: Any) -> StartPushRequest:
    definition = {
        "definition": None,
        "dependencies": fields.pop("dependencies", []),
        "schema": None,
        "changedModules": list(modules),
        "unchangedModuleHashes": fields.pop("unchanged", []),
        "udfServerVersion": "1.48.0",
    }
    return msgspec.convert({"appDefinition": definition, **fields}, StartPushRequest)


def module(path: str, environment: str = "isolate") -> dict[str, Any]:
    return {"path": path, "source": "export {}", "environment": environment}


def component(path: str, environment: str = "node") -> dict[str, Any]:
    return {
        "definitionPath": "counter",
        "definition": module("convex.config.js"),
        "functions": [module(path, environment)],
        "udfServerVersion": "1.48.0",
    }


def test_an_ordinary_push_passes() -> None:
    check_push(request(module("a.js"), module("b/c.js"), module("_deps/X1.js")))


@pytest.mark.parametrize(
    ("push", "code", "text"),
    [
        (request(componentDefinitions=[component("n.js")]), "NodeActionsNotSupported", "counter"),
        (
            request(componentDefinitions=[component("a-b.js", "isolate")]),
            "BadConvexModuleIdentifier",
            "a-b.js",
        ),
        (request(nodeVersion="18"), "NodeVersionNotSupported", "18"),
        (
            request(nodeDependencies=[{"name": "ws", "version": "8.0.0"}]),
            "InvalidExternalModules",
            "externalPackages",
        ),
        (request(module("a.ts")), "BadConvexModuleIdentifier", "a.ts"),
        (request(module("a")), "BadConvexModuleIdentifier", "must end in .js"),
        (request(module("a-b.js")), "BadConvexModuleIdentifier", "a-b.js"),
        (request(module("a.js"), module("a.js")), "InvalidModules", "more than once"),
        (request(module("http.js", "node")), "InvalidModules", '"use node" is not allowed'),
        (request(module("n.js", "node")), "InvalidModules", "Node.js actions"),
        (request(*(module(f"m{n}.js") for n in range(4_097))), "InvalidModules", "limit: 4096"),
        (
            request(*(module(f"_deps/m{n}.js") for n in range(8_193))),
            "InvalidModules",
            "limit: 8192",
        ),
    ],
)
def test_refusals(push: StartPushRequest, code: str, text: str) -> None:
    with pytest.raises(FenchelError) as caught:
        check_push(push)
    assert caught.value.code == code
    assert caught.value.is_developer_error
    assert text in caught.value.message


def test_messages_are_limited() -> None:
    check_message(None)
    check_message("x" * 1_024)
    with pytest.raises(FenchelError, match="PushMessageTooLong"):
        check_message("\u00e9" * 513)


class TestUnchangedModules:
    def deployed(self) -> tuple[dict[str, Module], dict[str, PackagedModule]]:
        row = Module(
            path="a.js",
            source_package_id="p",
            environment="isolate",
            sha256=hash_module("source", None),
            analyze_result=None,
        )
        return {"a.js": row}, {"a.js": PackagedModule(path="a.js", source="source")}

    def unchanged(self, **fields: str) -> StartPushRequest:
        entry = {"path": "a.js", "environment": "isolate", "sha256": hash_module("source", None)}
        return request(module("b.js"), unchanged=[{**entry, **fields}])

    def test_they_come_from_the_deployed_package(self) -> None:
        modules = resolve_modules(self.unchanged().app_definition, *self.deployed())
        assert [(m.path, m.source) for m in modules] == [("a.js", "source"), ("b.js", "export {}")]

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"path": "z.js"}, "MissingExistingModule"),
            ({"sha256": "0" * 64}, "ExistingModuleHashConflict"),
            ({"environment": "node"}, "ExistingModuleEnvConflict"),
        ],
    )
    def test_stale_claims_are_bad_requests(self, fields: dict[str, str], code: str) -> None:
        with pytest.raises(FenchelError, match=code) as caught:
            resolve_modules(self.unchanged(**fields).app_definition, *self.deployed())
        assert caught.value.is_developer_error


class TestAnalysis:
    def crons(self, udf_path: str) -> dict[str, AnalyzedModule]:
        schedule: dict[str, str | int] = {"type": "interval", "seconds": 60}
        spec = CronSpec(udf_path=udf_path, udf_args=list(b"[{}]"), cron_schedule=schedule)
        functions = (
            AnalyzedFunction(name="sweep", udf_type="Mutation"),
            AnalyzedFunction(name="list", udf_type="Query"),
        )
        cron = AnalyzedCron(identifier="sweep", spec=spec)
        return {
            "m.js": AnalyzedModule(functions=functions),
            "crons.js": AnalyzedModule(cron_specs=(cron,)),
        }

    def test_a_cron_may_name_a_mutation(self) -> None:
        check_analysis(self.crons("m.js:sweep"))

    @pytest.mark.parametrize("path", ["m.js:list", "m.js:nothing", "x.js:sweep"])
    def test_a_cron_may_name_nothing_else(self, path: str) -> None:
        with pytest.raises(FenchelError, match="InvalidCron"):
            check_analysis(self.crons(path))

    def test_unreadable_validators_are_refused(self) -> None:
        function = AnalyzedFunction(name="f", udf_type="Query", args='{"type":"nonsense"}')
        with pytest.raises(FenchelError):
            check_analysis({"m.js": AnalyzedModule(functions=(function,))})

    @pytest.mark.parametrize("name", ["größe", "a-b", "_", "1st", "x" * 65])
    def test_functions_that_no_path_can_name_are_refused(self, name: str) -> None:
        function = AnalyzedFunction(name=name, udf_type="Query")
        with pytest.raises(FenchelError, match="InvalidFunctionName"):
            check_analysis({"m.js": AnalyzedModule(functions=(function,))})
