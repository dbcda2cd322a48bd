"""Naming code for the function runner before it runs, so that it can be built ahead."""

from __future__ import annotations

from collections.abc import Mapping

from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.database import Transaction
from fenchel.function_runner import DeployedCode
from fenchel.model import SourcePackage, UdfConfig, get_source_package, get_udf_config


def name_code(
    package: SourcePackage,
    config: UdfConfig,
    variables: Mapping[str, str],
    urls: CanonicalUrls,
) -> DeployedCode:
    """The code of a package under the developer's environment variables."""
    return DeployedCode(
        package_digest=package.sha256.hex(),
        storage_key=package.storage_key,
        environment_variables={**urls.environment_variables, **variables},
        import_seed=config.import_phase_rng_seed,
        import_unix_ms=config.import_unix_ms,
    )


async def name_deployed_code(
    tx: Transaction, variables: Mapping[str, str], urls: CanonicalUrls
) -> DeployedCode | None:
    """The deployed code under these variables; None before the first push."""
    package = await get_source_package(tx)
    config = await get_udf_config(tx)
    if package is None or config is None:
        return None
    return name_code(package[1], config, variables, urls)
