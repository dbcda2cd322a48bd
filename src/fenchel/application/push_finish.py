"""The one transaction that makes a push the deployed code (deploy-protocol 2.10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fenchel.application.definition_evaluation import decode_definitions
from fenchel.application.deploy_messages import FinishPushResponse
from fenchel.application.push_state import EvaluatedDefinition, EvaluatedPush, PendingPush
from fenchel.database import (
    ROOT,
    IndexDiff,
    IndexTables,
    Namespace,
    SchemaTables,
    Transaction,
    create_component_tables,
)
from fenchel.definitions import (
    ComponentInstance,
    FunctionPath,
    encode_analyzed_module,
    find_variable_problems,
)
from fenchel.errors import bad_request
from fenchel.model import (
    BUILT_IN_NAMES,
    AuthDiff,
    ComponentChange,
    Module,
    ModuleDiff,
    UdfConfig,
    hash_module,
    list_environment_variables,
    record_audit_entry,
    replace_auth_providers,
    replace_components,
    replace_crons,
    replace_function_handles,
    replace_modules,
    replace_source_package,
    set_udf_config,
)
from fenchel.values import Value


async def finish_push(
    tx: Transaction, push: PendingPush, *, message: str | None, now_ns: int
) -> FinishPushResponse:
    """Write everything; the caller commits. Running queries depend on these rows and run again.

    Raises: RaceDetected if the environment changed since the push began; SchemaAlreadyFailed,
    SchemaAlreadyOverwritten, those of `_check_variables`; a bad request if an index is not filled.
    """
    evaluated = push.evaluated
    if await list_environment_variables(tx) != evaluated.variables:
        raise bad_request(
            "RaceDetected", "Environment variables changed during the push. Push again."
        )
    _check_variables(evaluated)
    texts = {path: d.definition_json for path, d in evaluated.definitions.items()}
    changes = await replace_components(tx, evaluated.app, texts)
    component_diffs = {}
    for instance in evaluated.app.walk():
        change = changes[instance.path]
        component_diffs[instance.path] = await _deploy(tx, push, instance, change, now_ns)
    for path in changes.keys() - component_diffs.keys():
        component_diffs[path] = await _unmount(tx, path, now_ns)
    await replace_function_handles(tx, _list_functions(evaluated), now_ns=now_ns)
    auth_diff = await replace_auth_providers(tx, evaluated.auth_providers)
    await record_audit_entry(tx, "push_config", _audit_metadata(component_diffs[ROOT], message))
    return FinishPushResponse(
        auth_diff=_encode_auth_diff(auth_diff),
        definition_diffs={path: {} for path in evaluated.definitions},
        component_diffs=component_diffs,
    )


def _check_variables(push: EvaluatedPush) -> None:
    """In the words by which the CLI finds the names (deploy-protocol 1.6).

    Raises: MissingEnvironmentVariables, InvalidEnvironmentVariables.
    """
    definitions = decode_definitions(
        {path: d.definition_json for path, d in push.definitions.items()}
    )
    problems = find_variable_problems(
        push.app, definitions, push.variables, built_in=BUILT_IN_NAMES
    )
    if problems.missing:
        raise bad_request(
            "MissingEnvironmentVariables",
            "Environment variables that convex.config.ts declares are not set: "
            f"{', '.join(problems.missing)}. Set them with `npx convex env set` and push again.",
        )
    if problems.mismatches:
        raise bad_request(
            "InvalidEnvironmentVariables",
            "\n".join([*problems.mismatches, "Change the values and push again."]),
        )


async def _deploy(
    tx: Transaction,
    push: PendingPush,
    instance: ComponentInstance,
    change: ComponentChange,
    now_ns: int,
) -> dict[str, Any]:
    """Make the code of one component what runs; what changed (deploy-protocol 2.10)."""
    component = instance.path
    definition = push.evaluated.definition_of(instance)
    if change == "create":
        create_component_tables(tx, component)
    schema_diff = await _apply_schema(tx, component, definition, push.schema_ids[component])
    index_diff = (await IndexTables(tx, component).finish(definition.schema)).encode()
    package_id = await replace_source_package(tx, definition.package, namespace=component)
    rows = _module_rows(definition, package_id)
    module_diff = await replace_modules(tx, rows, namespace=component)
    config = msgspec.structs.replace(definition.udf_config, http_path=instance.http_path)
    previous = await set_udf_config(tx, config, namespace=component)
    crons = [cron for m in definition.analysis.values() for cron in m.cron_specs or ()]
    cron_diff = await replace_crons(tx, crons, now_ns=now_ns, namespace=component)
    return {
        "diffType": {"type": change},
        "moduleDiff": _encode_module_diff(module_diff),
        "udfConfigDiff": _encode_version_diff(previous, definition.udf_config),
        "cronDiff": msgspec.to_builtins(cron_diff),
        "indexDiff": index_diff,
        "schemaDiff": schema_diff,
    }


async def _unmount(tx: Transaction, component: Namespace, now_ns: int) -> dict[str, Any]:
    """Leave nothing of the component that runs; its tables stay as they are."""
    module_diff = await replace_modules(tx, [], namespace=component)
    cron_diff = await replace_crons(tx, [], now_ns=now_ns, namespace=component)
    return {
        "diffType": {"type": "unmount"},
        "moduleDiff": _encode_module_diff(module_diff),
        "udfConfigDiff": None,
        "cronDiff": msgspec.to_builtins(cron_diff),
        "indexDiff": IndexDiff().encode(),
        "schemaDiff": None,
    }


async def _apply_schema(
    tx: Transaction,
    component: Namespace,
    definition: EvaluatedDefinition,
    schema_id: str | None,
) -> dict[str, Any] | None:
    """Make the push's schema the active one; what changed, None if nothing did."""
    schemas = SchemaTables(tx, component)
    active = await schemas.get_active()
    previous_json = None if active is None else active.schema_json
    await schemas.apply(schema_id)
    next_json = definition.schema_json
    if previous_json == next_json:
        return None
    return {"previous_schema": previous_json, "next_schema": next_json}


def _list_functions(push: EvaluatedPush) -> Iterator[FunctionPath]:
    """Every function of every component, which all may be called by handle."""
    for instance in push.app.walk():
        for module, analysis in push.definition_of(instance).analysis.items():
            for function in analysis.functions:
                yield FunctionPath(instance.path, module, function.name)


def _module_rows(definition: EvaluatedDefinition, package_id: str) -> list[Module]:
    rows = []
    for module in definition.modules:
        analysis = definition.analysis.get(module.path)
        rows.append(
            Module(
                path=module.path,
                source_package_id=package_id,
                environment=module.environment,
                sha256=hash_module(module.source, module.source_map),
                analyze_result=None if analysis is None else encode_analyzed_module(analysis),
            )
        )
    return rows


def _audit_metadata(app_diff: Mapping[str, Any], message: str | None) -> dict[str, Value]:
    return {"message": message, **app_diff["moduleDiff"]}


def _encode_auth_diff(diff: AuthDiff) -> dict[str, list[str]]:
    return {"added": list(diff.added), "removed": list(diff.removed)}


def _encode_module_diff(diff: ModuleDiff) -> dict[str, list[str]]:
    return {"added": list(diff.added), "removed": list(diff.removed)}


def _encode_version_diff(previous: UdfConfig | None, new: UdfConfig) -> dict[str, str] | None:
    version = "" if previous is None else previous.server_version
    if version == new.server_version:
        return None
    return {"previous_version": version, "next_version": new.server_version}
