"""The JSON that the CLI's code generation and diff output read (deploy-protocol 2.7, 2.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fenchel.application.deploy_messages import StartPushResponse
from fenchel.application.push_state import EvaluatedPush
from fenchel.definitions import AnalyzedModule

_ROOT = ""


def encode_start_push(
    push: EvaluatedPush, *, schema_change: dict[str, Any], push_token: str
) -> StartPushResponse:
    """Environment variables stay here: they are secrets, and the token stands for what was seen."""
    return StartPushResponse(
        environment_variables={},
        external_deps_id=None,
        component_definition_packages={_ROOT: {"sha256": push.package.sha256.hex()}},
        app_auth=tuple(msgspec.to_builtins(provider) for provider in push.auth_providers),
        analysis={_ROOT: _encode_evaluated(push)},
        app=_encode_app(push.analysis),
        schema_change=schema_change,
        push_token=push_token,
    )


def encode_schema_change(
    schema_id: str | None, index_diff: dict[str, Any], push_token: str | None
) -> dict[str, Any]:
    """`push_token` comes back in wait_for_schema, which gets nothing else of the push."""
    change: dict[str, Any] = {
        "allocatedComponentIds": {},
        "schemaIds": {_ROOT: schema_id},
        "indexDiffs": {_ROOT: index_diff},
    }
    if push_token is not None:
        change["pushToken"] = push_token
    return change


def _encode_evaluated(push: EvaluatedPush) -> dict[str, Any]:
    return {
        "definition": {
            **push.app_definition,
            "path": _ROOT,
            "exports": {"type": "branch", "branch": []},
        },
        "schema": _encode_schema(push.schema_json),
        "functions": {path: _encode_module(module) for path, module in push.analysis.items()},
        "udfConfig": {"serverVersion": push.udf_config.server_version},
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


def _encode_app(analysis: Mapping[str, AnalyzedModule]) -> dict[str, Any]:
    """The instantiated tree: the app alone."""
    http = analysis.get("http.js")
    routes = None
    if http is not None and http.http_routes is not None:
        routes = [{"method": r.route.method, "path": r.route.path} for r in http.http_routes]
    return {
        "definitionPath": _ROOT,
        "componentPath": _ROOT,
        "args": {},
        "childComponents": {},
        "httpRoutes": {"httpModuleRoutes": routes, "mounts": []},
        "exports": {},
        "httpPrefix": None,
        "env": {},
    }
