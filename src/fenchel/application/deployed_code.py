"""Naming code for the function runner before it runs, so that it can be built ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.database import ROOT, Transaction
from fenchel.definitions import ComponentInstance, bind_environment, place_site_url
from fenchel.function_runner import DeployedCode
from fenchel.model import (
    SourcePackage,
    UdfConfig,
    get_source_package,
    get_udf_config,
    list_components,
)


def name_code(
    package: SourcePackage,
    config: UdfConfig,
    variables: Mapping[str, str],
    urls: CanonicalUrls,
    *,
    http_path: str,
) -> DeployedCode:
    """The code of a package under the variables that its component sees, whose HTTP actions begin
    there.
    """
    return DeployedCode(
        package_digest=package.sha256.hex(),
        storage_key=package.storage_key,
        environment_variables={
            **place_site_url(urls.environment_variables, http_path),
            **variables,
        },
        import_seed=config.import_phase_rng_seed,
        import_unix_ms=config.import_unix_ms,
    )


def name_instance_code(
    app: ComponentInstance,
    packages: Mapping[str, tuple[SourcePackage, UdfConfig]],
    variables: Mapping[str, str],
    urls: CanonicalUrls,
) -> list[DeployedCode]:
    """The code of an app and its components, each once, the app's last: workers keep the code that
    they loaded last. `packages` are by definition path.
    """
    codes: dict[str, DeployedCode] = {}
    pending: list[tuple[ComponentInstance, Mapping[str, str]]] = [(app, variables)]
    while pending:
        instance, own = pending.pop()
        package, config = packages[instance.definition_path]
        code = name_code(package, config, own, urls, http_path=instance.http_path)
        codes[code.key] = code
        pending += [
            (child, bind_environment(child.environment, own)) for child in instance.children
        ]
    return list(reversed(codes.values()))


async def name_deployed_code(
    tx: Transaction, variables: Mapping[str, str], urls: CanonicalUrls
) -> Sequence[DeployedCode]:
    """The deployed code of the app and its mounted components under these variables of the app, the
    app's last; nothing before the first push.
    """
    seen: dict[str, Mapping[str, str]] = {ROOT: variables}
    for stored in await list_components(tx):
        row = stored.row
        if row.parent is not None and row.is_active:
            seen[row.path] = bind_environment(row.env, seen[row.parent_path])
    codes: dict[str, DeployedCode] = {}
    for namespace, own in seen.items():
        package = await get_source_package(tx, namespace=namespace)
        config = await get_udf_config(tx, namespace=namespace)
        if package is not None and config is not None:
            code = name_code(package[1], config, own, urls, http_path=config.http_path)
            codes[code.key] = code
    return list(reversed(codes.values()))
