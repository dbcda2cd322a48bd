"""Loading and evaluating the code of a push; nothing changes (deploy-protocol 2.5, 2.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from fenchel.application.auth_config_evaluation import (
    AUTH_CONFIG_PATH,
    AuthConfigEvaluator,
    module_source,
)
from fenchel.application.deploy_messages import CanonicalUrls, PushModule, StartPushRequest
from fenchel.application.deployed_code import name_code
from fenchel.application.push_checks import check_analysis, check_push, resolve_modules
from fenchel.application.push_state import EvaluatedPush
from fenchel.database import Database, Transaction
from fenchel.definitions import EMPTY_SCHEMA, AnalyzedModule, decode_schema
from fenchel.errors import FenchelError, bad_request
from fenchel.file_storage import FileStorage
from fenchel.function_runner import FunctionRunner
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.model import (
    PackagedModule,
    SourcePackage,
    UdfConfig,
    decode_source_package,
    describe_source_package,
    encode_source_package,
    get_source_package,
    get_udf_config,
    list_environment_variables,
    list_modules,
)
from fenchel.runtime import Runtime
from fenchel.udf import JsError

_EMPTY_DEFINITION: Mapping[str, Any] = {
    "definitionType": {"type": "app"},
    "childComponents": [],
    "httpMounts": {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEvaluator:
    database: Database
    function_runner: FunctionRunner
    file_storage: FileStorage
    auth_configs: AuthConfigEvaluator
    canonical_urls: CanonicalUrls
    runtime: Runtime

    async def evaluate(self, request: StartPushRequest) -> EvaluatedPush:
        """The push, checked. Its sources are stored, which nothing refers to yet.

        Raises: the bad requests of deploy-protocol 2.14.
        """
        check_push(request)
        definition = request.app_definition
        tx = self.database.begin()
        variables = await list_environment_variables(tx)
        config = await self._udf_config(tx, definition.udf_server_version)
        modules = await self._resolve(tx, request)
        inputs = BundleInputs(
            modules=[module_source(m) for m in modules if m.path != AUTH_CONFIG_PATH],
            environment_variables={**self.canonical_urls.environment_variables, **variables},
            import_seed=config.import_phase_rng_seed,
            import_unix_ms=config.import_unix_ms,
        )
        analysis = await self._analyze(inputs)
        schema_json = await self._evaluate_schema(definition.schema)
        package = await self._store_package(modules, request.node_version)
        return EvaluatedPush(
            modules=modules,
            package=package,
            code=name_code(package, config, variables, self.canonical_urls),
            analysis=analysis,
            app_definition=await self._evaluate_definition(definition.definition, inputs),
            schema=EMPTY_SCHEMA if schema_json is None else decode_schema(schema_json),
            schema_json=schema_json,
            auth_providers=await self.auth_configs.evaluate(modules, config, variables),
            udf_config=config,
            variables=variables,
        )

    async def _store_package(
        self, modules: Sequence[PackagedModule], node_version: str | None
    ) -> SourcePackage:
        content = await asyncio.to_thread(encode_source_package, modules)
        key = await self.file_storage.store(content)
        return describe_source_package(key, content, node_version=node_version)

    async def _resolve(self, tx: Transaction, request: StartPushRequest) -> list[PackagedModule]:
        definition = request.app_definition
        if not definition.unchanged_module_hashes:
            return resolve_modules(definition, {}, {})
        deployed = {module.path: module for module in await list_modules(tx)}
        packaged: dict[str, PackagedModule] = {}
        package = await get_source_package(tx)
        if package is not None:
            content = await self.file_storage.load(package[1].storage_key)
            packaged = {module.path: module for module in decode_source_package(content)}
        return resolve_modules(definition, deployed, packaged)

    async def _udf_config(self, tx: Transaction, server_version: str) -> UdfConfig:
        """The stored config if the same package version pushed it, else a fresh one."""
        stored = await get_udf_config(tx)
        if stored is not None and stored.server_version == server_version:
            return stored
        return UdfConfig(
            server_version=server_version,
            import_phase_rng_seed=self.runtime.randomness.token_bytes(32),
            import_phase_unix_timestamp=self.runtime.clock.now_ns(),
        )

    async def _analyze(self, inputs: BundleInputs) -> dict[str, AnalyzedModule]:
        analysis = await self.function_runner.analyze(inputs)
        if isinstance(analysis, JsError):
            raise _failed("InvalidModules", "Loading the pushed modules failed:", analysis)
        check_analysis(analysis)
        return analysis

    async def _evaluate_schema(self, module: PushModule | None) -> str | None:
        if module is None:
            return None
        schema_json = await self.function_runner.evaluate_schema(_source(module))
        if isinstance(schema_json, JsError):
            raise _failed("InvalidSchema", "Evaluating schema.ts failed:", schema_json)
        return schema_json

    async def _evaluate_definition(
        self, module: PushModule | None, inputs: BundleInputs
    ) -> Mapping[str, Any]:
        if module is None:
            return _EMPTY_DEFINITION
        evaluated = await self.function_runner.evaluate_app_definition(
            replace(inputs, modules=[_source(module)])
        )
        if isinstance(evaluated, JsError):
            raise _failed("InvalidDefinition", "Evaluating convex.config.ts failed:", evaluated)
        definition: Mapping[str, Any] = msgspec.json.decode(evaluated, type=dict[str, Any])
        return definition


def prefix_error(error: FenchelError) -> FenchelError:
    """The form in which the CLI prints a developer's mistake (deploy-protocol 2.6)."""
    return FenchelError(error.kind, error.code, f"Hit an error while pushing:\n{error.message}")


def _source(module: PushModule) -> ModuleSource:
    return ModuleSource(path=module.path, source=module.source, source_map=module.source_map)


def _failed(code: str, lead_in: str, error: JsError) -> FenchelError:
    return bad_request(code, f"{lead_in}\n{error.pretty}")
