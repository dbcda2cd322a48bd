"""The JSON bodies of a push, as the official CLI sends and reads them (deploy-protocol, section 2).

Unknown fields are tolerated. Field names are camelCase on the wire unless a comment says otherwise.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class PushModule(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One bundled module (2.3). `path` ends in `.js`; `source_map` is source map v3 JSON text."""

    path: str
    source: str
    source_map: str | None = None
    environment: Literal["isolate", "node"] = "isolate"


class UnchangedModule(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A module the server already holds; `sha256` is lower-case hex."""

    path: str
    environment: Literal["isolate", "node"]
    sha256: str


class NodeDependency(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str


class PushAppDefinition(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    definition: PushModule | None = None
    dependencies: tuple[str, ...] = ()
    schema: PushModule | None = None
    changed_modules: tuple[PushModule, ...] = ()
    unchanged_module_hashes: tuple[UnchangedModule, ...] = ()
    udf_server_version: str


class PushComponentDefinition(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A component's code (2.4): always all of its modules. Paths lead from the functions directory
    to the definition, also for `dependencies`.
    """

    definition_path: str
    definition: PushModule
    dependencies: tuple[str, ...] = ()
    schema: PushModule | None = None
    functions: tuple[PushModule, ...] = ()
    udf_server_version: str


class StartPushRequest(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Body of start_push, evaluate_push and evaluate_schema (2.4)."""

    admin_key: str | None = None
    dry_run: bool = False
    for_codegen: bool = False
    functions: str = "convex/"
    app_definition: PushAppDefinition
    component_definitions: tuple[PushComponentDefinition, ...] = ()
    node_dependencies: tuple[NodeDependency, ...] = ()
    node_version: str | None = None


class StartPushResponse(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Answer of start_push (2.7). The CLI echoes it in finish_push; only `push_token` is believed
    then.
    """

    environment_variables: dict[str, str]
    external_deps_id: str | None
    component_definition_packages: dict[str, Any]
    app_auth: tuple[dict[str, Any], ...]
    analysis: dict[str, Any]
    app: dict[str, Any]
    schema_change: dict[str, Any]
    push_token: str


class EvaluatePushResponse(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    schema_change: dict[str, Any]


class EvaluateSchemaResponse(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    component_schema_evaluations: dict[str, Any]
    new_component_definitions: tuple[str, ...]


class WaitForSchemaRequest(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """`schema_change` is the echo of start_push's field (2.9)."""

    admin_key: str | None = None
    schema_change: dict[str, Any]
    timeout_ms: float = 10_000
    dry_run: bool = False


class SchemaProgress(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    schema_validation_complete: bool
    indexes_complete: int
    indexes_total: int


class SchemaInProgress(
    msgspec.Struct, rename="camel", frozen=True, kw_only=True, tag_field="type", tag="inProgress"
):
    components: dict[str, SchemaProgress]


class SchemaFailed(
    msgspec.Struct, rename="camel", frozen=True, kw_only=True, tag_field="type", tag="failed"
):
    error: str
    component_path: str
    table_name: str | None


class SchemaRaceDetected(msgspec.Struct, frozen=True, tag_field="type", tag="raceDetected"):
    """Another push replaced the schema that this one waits for."""


class SchemaComplete(msgspec.Struct, frozen=True, tag_field="type", tag="complete"):
    """Schemas are validated and indexes are filled: finish_push may follow."""


SchemaStatus = SchemaInProgress | SchemaFailed | SchemaRaceDetected | SchemaComplete


class StartPushEcho(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The part of the echoed start_push response that is read; everything else in it is ignored."""

    push_token: str


class FinishPushRequest(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    admin_key: str | None = None
    start_push: StartPushEcho
    dry_run: bool = False
    message: str | None = None


class FinishPushResponse(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What changed (2.10); lists of names, nothing secret."""

    auth_diff: dict[str, list[str]]
    definition_diffs: dict[str, Any]
    component_diffs: dict[str, Any]


class ModuleHash(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    hash: str
    environment: str


class ConfigHashes(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Answer of get_config_hashes (2.2): the root component's stored modules."""

    config: dict[str, str]
    module_hashes: tuple[ModuleHash, ...]
    udf_server_version: str | None
    node_version: str | None = None
    node_dependencies: tuple[NodeDependency, ...] = ()


class CanonicalUrls(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Where clients reach this deployment (2.12)."""

    convex_cloud_url: str
    convex_site_url: str

    @property
    def environment_variables(self) -> dict[str, str]:
        """The built-in part of what `process.env` shows (execution 3.9)."""
        return {
            "CONVEX_CLOUD_URL": self.convex_cloud_url,
            "CONVEX_SITE_URL": self.convex_site_url,
        }


class EnvironmentChange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of update_environment_variables; a value of None deletes the variable (3.3)."""

    name: str
    value: str | None = None
