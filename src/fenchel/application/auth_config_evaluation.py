"""Evaluating `auth.config.js`: at a push, and again when environment variables change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.database import Transaction
from fenchel.definitions import AuthProvider, decode_auth_config
from fenchel.errors import FenchelError, bad_request
from fenchel.file_storage import FileStorage
from fenchel.function_runner import FunctionRunner
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.model import (
    PackagedModule,
    UdfConfig,
    decode_source_package,
    get_module,
    get_source_package,
    get_udf_config,
)
from fenchel.udf import JsError

AUTH_CONFIG_PATH = "auth.config.js"
_VARIABLE_READ = re.compile(r"""process\.env(?:\.|\[["'])([A-Za-z_][A-Za-z0-9_]*)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfigEvaluator:
    function_runner: FunctionRunner
    file_storage: FileStorage
    canonical_urls: CanonicalUrls

    async def evaluate(
        self,
        modules: Sequence[PackagedModule],
        config: UdfConfig,
        variables: Mapping[str, str],
    ) -> tuple[AuthProvider, ...]:
        """Providers of the auth config among `modules`; none if there is no such module.

        Raises: the bad requests about auth configs of deploy-protocol 2.14.
        """
        module = next((m for m in modules if m.path == AUTH_CONFIG_PATH), None)
        if module is None:
            return ()
        inputs = BundleInputs(
            modules=[
                module_source(m) for m in modules if m is module or m.path.startswith("_deps/")
            ],
            environment_variables={**self.canonical_urls.environment_variables, **variables},
            import_seed=config.import_phase_rng_seed,
            import_unix_ms=config.import_unix_ms,
        )
        evaluated = await self.function_runner.evaluate_auth_config(inputs)
        try:
            if isinstance(evaluated, JsError):
                raise _failed(evaluated)
            return decode_auth_config(evaluated)
        except FenchelError as error:
            unset = _unset_variables(module, inputs.environment_variables)
            raise (_missing(unset[0]) if unset else error) from error

    async def evaluate_deployed(
        self, tx: Transaction, variables: Mapping[str, str]
    ) -> tuple[AuthProvider, ...] | None:
        """Providers of the deployed auth config under other variables; None if none is deployed."""
        package = await get_source_package(tx)
        config = await get_udf_config(tx)
        if package is None or config is None or await get_module(tx, AUTH_CONFIG_PATH) is None:
            return None
        modules = decode_source_package(await self.file_storage.load(package[1].storage_key))
        return await self.evaluate(modules, config, variables)


def _failed(error: JsError) -> FenchelError:
    message = f"Evaluating auth.config.js failed:\n{error.pretty}"
    return bad_request("InvalidAuthConfig", message)


def _unset_variables(module: PackagedModule, variables: Mapping[str, str]) -> list[str]:
    """Variables without a value that the module reads: the likely cause of its failure."""
    names = _VARIABLE_READ.findall(module.source)
    return [name for name in names if name not in variables]


def _missing(name: str) -> FenchelError:
    """In the words by which the CLI finds the name (deploy-protocol 1.6)."""
    return bad_request(
        "AuthConfigMissingEnvironmentVariable",
        f"Environment variable {name} is used in auth config file but its value was not set",
    )


def module_source(module: PackagedModule) -> ModuleSource:
    """A stored module as the function runner takes it."""
    return ModuleSource(
        path=module.path,
        source=module.source,
        source_map=module.source_map,
        environment=module.environment,
    )
