"""The JSON that the CLI's code generation and diff output read (deploy-protocol 2.7, 2.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fenchel.application.component_exports import (
    build_exports,
    encode_definition_exports,
    encode_instance_exports,
)
from fenchel.application.deploy_messages import StartPushResponse
from fenchel.application.push_state import EvaluatedDefinition, EvaluatedPush
from fenchel.database import ROOT
from fenchel.definitions import AnalyzedModule, ComponentInstance


def encode_start_push(
    push: EvaluatedPush, *, schema_change: dict[str, Any], push_token: str
) -> StartPushResponse:
    """Environment variables stay here: they are secrets, and the token stands for what was seen."""
    return StartPushResponse(
        environment_variables={},
        external_deps_id=None,
        component_definition_packages={
            path: {"sha256": definition.package.sha256.hex()}
            for path, definition in push.definitions.items()
        },
        app_auth=tuple(msgspec.to_builtins(provider) for provider in push.auth_providers),
        analysis={
            path: _encode_evaluated(path, definition)
            for path, definition in push.definitions.items()
        },
        app=_encode_component(push, push.app),
        schema_change=schema_change,
        push_token=push_token,
    )


def encode_schema_change(
    schema_ids: Mapping[str, str | None], index_diffs: dict[str, Any], push_token: str | None
) -> dict[str, Any]:
    """By component path. `push_token` comes back in wait_for_schema, which gets nothing else of the
    push."""
    change: dict[str, Any] = {
        "allocatedComponentIds": {},
        "schemaIds": dict(schema_ids),
        "indexDiffs": index_diffs,
    }
    if push_token is not None:
        change["pushToken"] = push_token
    return change


def _encode_evaluated(path: str, evaluated: EvaluatedDefinition) -> dict[str, Any]:
    definition = msgspec.json.decode(evaluated.definition_json, type=dict[str, Any])
    exports = {} if path == ROOT else build_exports(evaluated.analysis)
    return {
        "definition": {
            **definition,
            "path": path,
            "exports": encode_definition_exports(exports),
        },
        "schema": _encode_schema(evaluated.schema_json),
        "functions": {path: _encode_module(m) for path, m in evaluated.analysis.items()},
        "udfConfig": {"serverVersion": evaluated.udf_config.server_version},
    }


def _encode_module(module: AnalyzedModule) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(module)
    return {**fields, "sourceMapped": None}


def _encode_schema(schema_json: str | None) -> dict[str, Any] | None:
    """The exported schema; database indexes get the field that every index ends with."""
    if schema_json is None:
        return None
    schema: dict[str, Any] = msgspec.json.decode(schema_json, type=dict[str, Any])
    for table in schema["tables"]:
        for key in ("indexes", "stagedDbIndexes"):
            for index in table.get(key) or ():
                index["fields"] = [*index["fields"], "_creationTime"]
    return schema


def _encode_component(push: EvaluatedPush, instance: ComponentInstance) -> dict[str, Any]:
    """The instantiated tree below a component, itself included."""
    analysis = push.definition_of(instance).analysis
    exports = {} if instance.path == ROOT else build_exports(analysis)
    return {
        "definitionPath": instance.definition_path,
        "componentPath": instance.path,
        "args": {
            name: {"type": "value", "value": value_json}
            for name, value_json in instance.args.items()
        },
        "childComponents": {
            child.name: _encode_component(push, child) for child in instance.children
        },
        "httpRoutes": {
            "httpModuleRoutes": _encode_routes(analysis.get("http.js")),
            "mounts": list(instance.mounts),
        },
        "exports": encode_instance_exports(exports, instance.path),
        "httpPrefix": instance.http_prefix,
        "env": {},
    }


def _encode_routes(http: AnalyzedModule | None) -> list[dict[str, str]] | None:
    if http is None or http.http_routes is None:
        return None
    return [{"method": r.route.method, "path": r.route.path} for r in http.http_routes]
