"""The deployed code as a transaction sees it: rows of the model and packages of the file
storage.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fenchel.database import ROOT, Transaction
from fenchel.definitions import (
    AnalyzedFunction,
    AnalyzedModule,
    FunctionPath,
    bind_environment,
    names_in_parent,
    place_site_url,
)
from fenchel.file_storage import FileStorage
from fenchel.isolate import BundleInputs, ModuleSource
from fenchel.model import (
    decode_source_package,
    get_component,
    get_environment_variable,
    get_module,
    get_source_package,
    get_udf_config,
    list_environment_variables,
    parent_paths,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedCode:
    """One component's code and what its modules observe while they are evaluated.

    `package_digest` names the pushed modules: equal digests, equal sources. `key` is equal for
    equal behaviour, the component's arguments aside: calls carry those.
    """

    package_digest: str
    storage_key: str
    environment_variables: Mapping[str, str]
    import_seed: bytes
    import_unix_ms: int
    component_args: Mapping[str, str] = field(default_factory=dict)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        """Every call asks for the key; the code changes only with a push or a variable."""
        digest = hashlib.sha256(self.package_digest.encode() + self.import_seed)
        digest.update(self.import_unix_ms.to_bytes(8, "little"))
        for name, value in sorted(self.environment_variables.items()):
            digest.update(hashlib.sha256(f"{name}={value}".encode()).digest())
        object.__setattr__(self, "key", digest.hexdigest())


class CodeSource:
    """Look-ups that record read dependencies, so that a push or a changed variable invalidates what
    ran with the old ones.
    """

    def __init__(self, file_storage: FileStorage, *, system_environment: Mapping[str, str]) -> None:
        self._file_storage = file_storage
        self._system_environment = system_environment

    async def load_function(
        self, transaction: Transaction, path: FunctionPath
    ) -> AnalyzedFunction | None:
        """What analysis found, or None; depends on the module's row."""
        module = await self.load_module(transaction, path)
        return None if module is None else module.find(path.function)

    async def load_module(
        self, transaction: Transaction, path: FunctionPath
    ) -> AnalyzedModule | None:
        """What analysis found in the path's module; None if it is missing or has no functions."""
        module = await get_module(transaction, path.module, namespace=path.component)
        return None if module is None else module.analysis

    async def load_deployed_code(
        self, transaction: Transaction, component: str, unrecorded: Transaction
    ) -> DeployedCode | None:
        """None before the first push. `transaction` depends on package and config, `unrecorded` (of
        the same snapshot) on the variables: a call depends only on those that the code really looks
        at, which are added by `read_environment_variables`.
        """
        package = await get_source_package(transaction, namespace=component)
        config = await get_udf_config(transaction, namespace=component)
        if package is None or config is None:
            return None
        variables = await list_environment_variables(unrecorded)
        component_args: Mapping[str, str] = {}
        for path in parent_paths(component):
            row = await get_component(transaction, path)
            if row is None or not row.is_active:
                return None
            if row.parent_path == ROOT:
                await self.read_environment_variables(transaction, names_in_parent(row.env))
            variables = bind_environment(row.env, variables)
            component_args = row.args
        return DeployedCode(
            package_digest=package[1].sha256.hex(),
            storage_key=package[1].storage_key,
            environment_variables={
                **place_site_url(self._system_environment, config.http_path),
                **variables,
            },
            import_seed=config.import_phase_rng_seed,
            import_unix_ms=config.import_unix_ms,
            component_args=component_args,
        )

    async def fetch_inputs(self, code: DeployedCode) -> BundleInputs:
        """The pushed modules. Raises: FenchelError if the package is lost or damaged."""
        content = await self._file_storage.load(code.storage_key)
        modules = await asyncio.to_thread(decode_source_package, content)
        return BundleInputs(
            modules=[
                ModuleSource(
                    path=module.path,
                    source=module.source,
                    source_map=module.source_map,
                    environment=module.environment,
                )
                for module in modules
            ],
            environment_variables=code.environment_variables,
            import_seed=code.import_seed,
            import_unix_ms=code.import_unix_ms,
        )

    async def read_environment_variables(
        self, transaction: Transaction, names: Iterable[str]
    ) -> None:
        """Make the transaction depend on each variable, set or not (execution 3.9)."""
        for name in names:
            await get_environment_variable(transaction, name)
