"""Loading and evaluating the code of a push; nothing changes (deploy-protocol 2.5, 2.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fenchel.application.auth_config_evaluation import (
    AUTH_CONFIG_PATH,
    AuthConfigEvaluator,
    module_source,
)
from fenchel.application.definition_evaluation import decode_definitions, evaluate_definitions
from fenchel.application.deploy_messages import (
    CanonicalUrls,
    PushComponentDefinition,
    PushModule,
    StartPushRequest,
)
from fenchel.application.deployed_code import name_instance_code
from fenchel.application.evaluation_cache import EvaluationCache
from fenchel.application.push_checks import (
    check_analysis,
    check_push,
    package_modules,
    resolve_modules,
)
from fenchel.application.push_state import EvaluatedDefinition, EvaluatedPush
from fenchel.application.source_package_storage import SourcePackageStorage
from fenchel.database import ROOT, Database, Transaction
from fenchel.definitions import (
    EMPTY_SCHEMA,
    AnalyzedModule,
    check_declarations,
    decode_schema,
    instantiate,
)
from fenchel.errors import FenchelError, bad_request
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.model import (
    PackagedModule,
    UdfConfig,
    decode_source_package,
    describe_source_package,
    encode_source_package,
    get_definition_path,
    get_source_package,
    get_udf_config,
    list_components,
    list_environment_variables,
    list_modules,
)
from fenchel.runtime import Runtime
from fenchel.udf import JsError


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEvaluator:
    database: Database
    evaluations: EvaluationCache
    packages: SourcePackageStorage
    auth_configs: AuthConfigEvaluator
    canonical_urls: CanonicalUrls
    runtime: Runtime

    async def evaluate(self, request: StartPushRequest) -> EvaluatedPush:
        """The push, checked; nothing is written.

        Raises: the bad requests of deploy-protocol 2.14.
        """
        check_push(request)
        tx = self.database.begin()
        variables = await list_environment_variables(tx)
        app = await self._evaluate_app(tx, request, variables)
        texts = await self._evaluate_definitions(request, app, variables)
        component_definitions = decode_definitions(texts)
        check_declarations(component_definitions)
        instances = instantiate(component_definitions)
        definitions = {ROOT: replace(app, definition_json=texts[ROOT])}
        for component in request.component_definitions:
            path = component.definition_path
            definitions[path] = await self._evaluate_component(tx, component, texts[path])
        packages = {path: (d.package, d.udf_config) for path, d in definitions.items()}
        providers = await self.auth_configs.evaluate(app.modules, app.udf_config, variables)
        return EvaluatedPush(
            definitions=definitions,
            app=instances,
            codes=name_instance_code(instances, packages, variables, self.canonical_urls),
            auth_providers=providers,
            variables=variables,
        )

    async def _evaluate_app(
        self, tx: Transaction, request: StartPushRequest, variables: Mapping[str, str]
    ) -> EvaluatedDefinition:
        """The app's code; what its `convex.config.ts` exports is not known yet."""
        definition = request.app_definition
        config = await self._udf_config(tx, ROOT, definition.udf_server_version)
        modules = await self._resolve(tx, request)
        return await self._evaluate_code(
            modules, definition.schema, config, variables, node_version=request.node_version
        )

    async def _evaluate_component(
        self, tx: Transaction, component: PushComponentDefinition, definition_json: str
    ) -> EvaluatedDefinition:
        """A component's modules see no variables while they are analysed (deploy-protocol 2.5)."""
        path = component.definition_path
        config = await self._udf_config(tx, path, component.udf_server_version)
        modules = package_modules(component.functions)
        try:
            code = await self._evaluate_code(modules, component.schema, config, {})
        except FenchelError as error:
            if not error.is_developer_error:
                raise
            raise bad_request(error.code, f"In component {path}: {error.message}") from error
        return replace(code, definition_json=definition_json)

    async def _evaluate_code(
        self,
        modules: Sequence[PackagedModule],
        schema: PushModule | None,
        config: UdfConfig,
        variables: Mapping[str, str],
        *,
        node_version: str | None = None,
    ) -> EvaluatedDefinition:
        analysis = await self._analyze(self._inputs(modules, config, variables))
        schema_json = await self._evaluate_schema(schema)
        content = await asyncio.to_thread(encode_source_package, modules)
        package = describe_source_package(content, node_version=node_version)
        return EvaluatedDefinition(
            definition_json="",
            modules=modules,
            package=package,
            package_content=content,
            analysis=analysis,
            schema=EMPTY_SCHEMA if schema_json is None else decode_schema(schema_json),
            schema_json=schema_json,
            udf_config=config,
        )

    def _inputs(
        self, modules: Sequence[PackagedModule], config: UdfConfig, variables: Mapping[str, str]
    ) -> BundleInputs:
        return BundleInputs(
            modules=[module_source(m) for m in modules if m.path != AUTH_CONFIG_PATH],
            environment_variables={**self.canonical_urls.environment_variables, **variables},
            import_seed=config.import_phase_rng_seed,
            import_unix_ms=config.import_unix_ms,
        )

    async def _evaluate_definitions(
        self, request: StartPushRequest, app: EvaluatedDefinition, variables: Mapping[str, str]
    ) -> dict[str, str]:
        inputs = self._inputs((), app.udf_config, variables)
        return await evaluate_definitions(request, self.evaluations, inputs)

    async def _resolve(self, tx: Transaction, request: StartPushRequest) -> list[PackagedModule]:
        definition = request.app_definition
        if not definition.unchanged_module_hashes:
            return resolve_modules(definition, {}, {})
        deployed = {module.path: module for module in await list_modules(tx)}
        packaged: dict[str, PackagedModule] = {}
        package = await get_source_package(tx)
        if package is not None:
            content = await self.packages.load(package[1].storage_key)
            packaged = {module.path: module for module in decode_source_package(content)}
        return resolve_modules(definition, deployed, packaged)

    async def _udf_config(
        self, tx: Transaction, definition_path: str, server_version: str
    ) -> UdfConfig:
        """The stored config if the same package version pushed the definition, else a fresh one."""
        stored = await _stored_config(tx, definition_path)
        if stored is not None and stored.server_version == server_version:
            return stored
        return UdfConfig(
            server_version=server_version,
            import_phase_rng_seed=self.runtime.randomness.token_bytes(32),
            import_phase_unix_timestamp=self.runtime.clock.now_ns(),
        )

    async def _analyze(self, inputs: BundleInputs) -> dict[str, AnalyzedModule]:
        analysis = await self.evaluations.analyze(inputs)
        if isinstance(analysis, JsError):
            raise _failed("InvalidModules", "Loading the pushed modules failed:", analysis)
        check_analysis(analysis)
        return analysis

    async def _evaluate_schema(self, module: PushModule | None) -> str | None:
        if module is None:
            return None
        schema_json = await self.evaluations.evaluate_schema(_source(module))
        if isinstance(schema_json, JsError):
            raise _failed("InvalidSchema", "Evaluating schema.ts failed:", schema_json)
        return schema_json


async def _stored_config(tx: Transaction, definition_path: str) -> UdfConfig | None:
    """That of the app, or of any instance of a component's definition: they have the same."""
    if definition_path == ROOT:
        return await get_udf_config(tx)
    for stored in await list_components(tx):
        if stored.row.parent is None or not stored.row.is_active:
            continue
        if await get_definition_path(tx, stored.row) == definition_path:
            return await get_udf_config(tx, namespace=stored.row.path)
    return None


def prefix_error(error: FenchelError) -> FenchelError:
    """The form in which the CLI prints a developer's mistake (deploy-protocol 2.6)."""
    return FenchelError(error.kind, error.code, f"Hit an error while pushing:\n{error.message}")


def _source(module: PushModule) -> ModuleSource:
    return ModuleSource(path=module.path, source=module.source, source_map=module.source_map)


def _failed(code: str, lead_in: str, error: JsError) -> FenchelError:
    return bad_request(code, f"{lead_in}\n{error.pretty}")
