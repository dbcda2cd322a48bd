"""The deployed code for the function runner: rows from the model, sources from the file storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.database import Transaction
from fenchel.definitions import AnalyzedModule
from fenchel.errors import internal_error
from fenchel.file_storage import FileStorage
from fenchel.function_runner import DeployedCode
from fenchel.isolate import ModuleSource
from fenchel.model import (
    PackagedModule,
    decode_source_package,
    get_module,
    get_source_package,
    get_udf_config,
    list_environment_variables,
)

AUTH_CONFIG_PATH = "auth.config.js"


def runtime_modules(modules: Iterable[PackagedModule]) -> list[ModuleSource]:
    """The modules that isolates run, in one order; a push analyses and warms exactly these."""
    return [
        ModuleSource(
            path=module.path,
            source=module.source,
            source_map=module.source_map,
            environment="isolate",
        )
        for module in sorted(modules, key=lambda module: module.path)
        if module.environment == "isolate" and module.path != AUTH_CONFIG_PATH
    ]


def visible_environment(variables: Mapping[str, str], urls: CanonicalUrls) -> dict[str, str]:
    """What `process.env` shows: the developer's variables and the built-in ones (execution 3.9)."""
    return {
        **variables,
        "CONVEX_CLOUD_URL": urls.convex_cloud_url,
        "CONVEX_SITE_URL": urls.convex_site_url,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCodeSource:
    """The `CodeSource` of the function runner, for an app without components."""

    file_storage: FileStorage
    canonical_urls: CanonicalUrls

    async def load_analysis(
        self, transaction: Transaction, component: str, module: str
    ) -> AnalyzedModule | None:
        found = await get_module(transaction, module, namespace=component)
        return None if found is None else found.analysis

    async def load_deployed_code(
        self, transaction: Transaction, component: str
    ) -> DeployedCode | None:
        """Depends on package, udf config and all environment variables: code that was evaluated
        ahead, in a snapshot, may have looked at any of them.
        """
        package = await get_source_package(transaction, namespace=component)
        config = await get_udf_config(transaction, namespace=component)
        if package is None or config is None:
            return None
        variables = await list_environment_variables(transaction)
        return DeployedCode(
            package_digest=package[1].sha256.hex(),
            environment_variables=visible_environment(variables, self.canonical_urls),
            import_seed=config.import_phase_rng_seed,
            import_unix_ms=config.import_unix_ms,
        )

    async def fetch_modules(
        self, transaction: Transaction, component: str, package_digest: str
    ) -> Sequence[ModuleSource]:
        package = await get_source_package(transaction, namespace=component)
        if package is None or package[1].sha256.hex() != package_digest:
            raise internal_error(f"package {package_digest} is not the deployed one")
        content = await self.file_storage.load(package[1].storage_key)
        return runtime_modules(decode_source_package(content))

    async def read_environment_variables(
        self, transaction: Transaction, names: Iterable[str]
    ) -> None:
        """Nothing to add: `load_deployed_code` depends on the whole table."""
