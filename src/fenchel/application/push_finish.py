"""The one transaction that makes a push the deployed code (deploy-protocol 2.10)."""

from __future__ import annotations

from typing import Any

import msgspec

from fenchel.application.deploy_messages import FinishPushResponse
from fenchel.application.push_state import EvaluatedPush, PendingPush
from fenchel.database import ROOT, IndexTables, SchemaTables, Transaction
from fenchel.definitions import encode_analyzed_module
from fenchel.errors import bad_request
from fenchel.model import (
    AuthDiff,
    Module,
    ModuleDiff,
    UdfConfig,
    hash_module,
    list_environment_variables,
    record_audit_entry,
    replace_auth_providers,
    replace_crons,
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
    SchemaAlreadyOverwritten; a bad request if an index is not filled yet.
    """
    evaluated = push.evaluated
    if await list_environment_variables(tx) != evaluated.variables:
        raise bad_request(
            "RaceDetected", "Environment variables changed during the push. Push again."
        )
    schema_diff = await _apply_schema(tx, push)
    index_diff = (await IndexTables(tx, ROOT).finish(evaluated.schema)).encode()
    package_id = await replace_source_package(tx, evaluated.package)
    module_diff = await replace_modules(tx, _module_rows(evaluated, package_id))
    previous = await set_udf_config(tx, evaluated.udf_config)
    crons = [cron for module in evaluated.analysis.values() for cron in module.cron_specs or ()]
    cron_diff = await replace_crons(tx, crons, now_ns=now_ns)
    auth_diff = await replace_auth_providers(tx, evaluated.auth_providers)
    await record_audit_entry(tx, "push_config", _audit_metadata(module_diff, message))
    return FinishPushResponse(
        auth_diff=_encode_auth_diff(auth_diff),
        definition_diffs={ROOT: {}},
        component_diffs={
            ROOT: {
                "diffType": {"type": "create" if previous is None else "modify"},
                "moduleDiff": _encode_module_diff(module_diff),
                "udfConfigDiff": _encode_version_diff(previous, evaluated.udf_config),
                "cronDiff": msgspec.to_builtins(cron_diff),
                "indexDiff": index_diff,
                "schemaDiff": schema_diff,
            }
        },
    )


async def _apply_schema(tx: Transaction, push: PendingPush) -> dict[str, Any] | None:
    """Make the push's schema the active one; what changed, None if nothing did."""
    schemas = SchemaTables(tx, ROOT)
    active = await schemas.get_active()
    previous_json = None if active is None else active.schema_json
    await schemas.apply(push.schema_id)
    next_json = push.evaluated.schema_json
    if previous_json == next_json:
        return None
    return {"previous_schema": previous_json, "next_schema": next_json}


def _module_rows(push: EvaluatedPush, package_id: str) -> list[Module]:
    rows = []
    for module in push.modules:
        analysis = push.analysis.get(module.path)
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


def _audit_metadata(diff: ModuleDiff, message: str | None) -> dict[str, Value]:
    return {"message": message, "added": list(diff.added), "removed": list(diff.removed)}


def _encode_auth_diff(diff: AuthDiff) -> dict[str, list[str]]:
    return {"added": list(diff.added), "removed": list(diff.removed)}


def _encode_module_diff(diff: ModuleDiff) -> dict[str, list[str]]:
    return {"added": list(diff.added), "removed": list(diff.removed)}


def _encode_version_diff(previous: UdfConfig | None, new: UdfConfig) -> dict[str, str] | None:
    version = "" if previous is None else previous.server_version
    if version == new.server_version:
        return None
    return {"previous_version": version, "next_version": new.server_version}
