"""Evaluating `convex.config.ts` of the app and its components, children first (execution 6.6)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from fenchel.application.deploy_messages import PushModule, StartPushRequest
from fenchel.application.evaluation_cache import EvaluationCache
from fenchel.database import ROOT
from fenchel.definitions import ComponentDefinition, decode_component_definition
from fenchel.errors import FenchelError, bad_request
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.udf import JsError

_EMPTY_APP = '{"definitionType":{"type":"app"},"childComponents":[],"httpMounts":{}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The module that exports a definition, and the definitions that it uses."""

    module: PushModule | None
    dependencies: Sequence[str]


class _ChildName(msgspec.Struct, frozen=True):
    name: str = ""


async def evaluate_definitions(
    request: StartPushRequest, evaluations: EvaluationCache, app_inputs: BundleInputs
) -> dict[str, str]:
    """JSON texts of what the definitions export, by their path, children first.

    The app's sees the variables of `app_inputs`; those of components see none.
    Raises: CyclicImport, InvalidDefinition.
    """
    sources = _sources(request)
    evaluated: dict[str, str] = {}
    for path in _order(sources):
        source = sources[path]
        if source.module is None:
            evaluated[path] = _EMPTY_APP
            continue
        inputs = app_inputs if path == ROOT else replace(app_inputs, environment_variables={})
        inputs = replace(inputs, modules=_modules(source.module, source.dependencies, evaluated))
        text = await evaluations.evaluate_app_definition(inputs)
        if isinstance(text, JsError):
            raise _failed(path, text)
        evaluated[path] = text
    return evaluated


def decode_definitions(evaluated: Mapping[str, str]) -> dict[str, ComponentDefinition]:
    """Raises: InvalidDefinition."""
    return {
        path: decode_component_definition(text, is_app=path == ROOT)
        for path, text in evaluated.items()
    }


def _sources(request: StartPushRequest) -> dict[str, _Source]:
    app = request.app_definition
    sources = {ROOT: _Source(module=app.definition, dependencies=app.dependencies)}
    for component in request.component_definitions:
        if component.definition_path in sources:
            raise bad_request(
                "InvalidDefinition",
                f"The push has two components at {component.definition_path!r}.",
            )
        sources[component.definition_path] = _Source(
            module=component.definition, dependencies=component.dependencies
        )
    return sources


def _order(sources: Mapping[str, _Source]) -> list[str]:
    """All definitions, each after those that it uses. Raises: CyclicImport, InvalidDefinition."""
    ordered: dict[str, None] = {}
    for start in sources:
        if start in ordered:
            continue
        entered = [start]
        pending = [(start, iter(sources[start].dependencies))]
        while pending:
            path, dependencies = pending[-1]
            child = next(dependencies, None)
            if child is None:
                ordered[path] = None
                entered.pop()
                pending.pop()
            elif child in entered:
                raise _cyclic([*entered, child])
            elif child not in sources:
                raise bad_request(
                    "InvalidDefinition", f"{_name(path)} uses {child!r}, which was not pushed."
                )
            elif child not in ordered:
                entered.append(child)
                pending.append((child, iter(sources[child].dependencies)))
    return list(ordered)


def _modules(
    module: PushModule, dependencies: Sequence[str], evaluated: Mapping[str, str]
) -> list[ModuleSource]:
    """The module, and a chunk for each definition that it imports.

    The CLI leaves imports of `./_componentDeps/<base64url of the path>` to the server; as file
    names those would be too long, so that the imports are pointed at numbered chunks.
    """
    source = module.source
    chunks = []
    for number, path in enumerate(dependencies):
        encoded = base64.urlsafe_b64encode(path.encode()).rstrip(b"=").decode()
        chunk = f"_deps/component{number}.js"
        source = source.replace(f'"./_componentDeps/{encoded}"', f'"./{chunk}"')
        chunks.append(ModuleSource(path=chunk, source=_synthetic_module(path, evaluated[path])))
    main = ModuleSource(path=module.path, source=source, source_map=module.source_map)
    return [main, *chunks]


def _synthetic_module(path: str, definition_json: str) -> str:
    name = msgspec.json.decode(definition_json, type=_ChildName).name
    return (
        f"const definition = JSON.parse({json.dumps(definition_json)});\n"
        "export default {\n"
        "  export: () => definition,\n"
        f"  componentDefinitionPath: {json.dumps(path)},\n"
        f"  defaultName: {json.dumps(name)},\n"
        "};\n"
    )


def _cyclic(paths: Sequence[str]) -> FenchelError:
    circle = " uses ".join(map(_name, paths[paths.index(paths[-1]) :]))
    return bad_request("CyclicImport", f"Found cyclic definition dependency: {circle}.")


def _name(path: str) -> str:
    return path or "the app"


def _failed(path: str, error: JsError) -> FenchelError:
    place = f" of {path}" if path else ""
    message = f"Evaluating convex.config.ts{place} failed:\n{error.pretty}"
    return bad_request("InvalidDefinition", message)
