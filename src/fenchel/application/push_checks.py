"""What a push must look like before any of its code is loaded (deploy-protocol 2.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fenchel.application.deploy_messages import (
    PushAppDefinition,
    PushComponentDefinition,
    PushModule,
    StartPushRequest,
    UnchangedModule,
)
from fenchel.definitions import AnalyzedModule, decode_module_path
from fenchel.errors import FenchelError, bad_request
from fenchel.model import Module, PackagedModule
from fenchel.values import is_identifier

_MODULES_MAX = 4_096
_MODULES_WITH_CHUNKS_MAX = 8_192
_MESSAGE_BYTES_MAX = 1_024
_CHUNKS = "_deps/"
_ISOLATE_ONLY = frozenset({"http.js", "crons.js", "schema.js", "auth.config.js"})


def check_push(request: StartPushRequest) -> None:
    """Raises the bad requests of deploy-protocol 2.14 about shape, size and unsupported parts."""
    if request.node_version == "18":
        raise bad_request(
            "NodeVersionNotSupported", "Node.js 18 is no longer supported. Use 20, 22 or 24."
        )
    if request.node_dependencies:
        raise bad_request(
            "InvalidExternalModules",
            "This deployment does not install external packages. Remove `node.externalPackages` "
            "from convex.json, so that the packages are bundled.",
        )
    definition = request.app_definition
    _check_modules(definition.changed_modules, definition.unchanged_module_hashes)
    for component in request.component_definitions:
        _check_component(component)


def check_message(message: str | None) -> None:
    """Raises PushMessageTooLong."""
    if message is not None and len(message.encode()) > _MESSAGE_BYTES_MAX:
        raise bad_request(
            "PushMessageTooLong",
            f"The push message is longer than {_MESSAGE_BYTES_MAX} bytes. Shorten it.",
        )


def resolve_modules(
    definition: PushAppDefinition,
    deployed: Mapping[str, Module],
    packaged: Mapping[str, PackagedModule],
) -> list[PackagedModule]:
    """All modules of the push: those it carries, and those that it says are deployed already.

    Raises: MissingExistingModule, ExistingModuleHashConflict, ExistingModuleEnvConflict. They are
    bad requests here, because the CLI would repeat a conflict for ever (deploy-protocol 1.6, 2.14).
    """
    modules = package_modules(definition.changed_modules)
    for unchanged in definition.unchanged_module_hashes:
        row, module = deployed.get(unchanged.path), packaged.get(unchanged.path)
        if row is None or module is None:
            raise _stale("MissingExistingModule", unchanged.path, "is not deployed")
        if row.environment != unchanged.environment:
            raise _stale("ExistingModuleEnvConflict", unchanged.path, "runs elsewhere")
        if row.sha256 != unchanged.sha256:
            raise _stale("ExistingModuleHashConflict", unchanged.path, "has other contents")
        modules.append(module)
    return sorted(modules, key=lambda module: module.path)


def check_analysis(analysis: Mapping[str, AnalyzedModule]) -> None:
    """Names that no path can hold, validators that cannot be read, and crons that name no mutation
    or action, are refused.
    """
    for path, module in analysis.items():
        _check_names(path, module)
        module.check_validators()
        for cron in module.cron_specs or ():
            _check_cron(cron.identifier, cron.spec.udf_path, analysis)


def _check_names(path: str, module: AnalyzedModule) -> None:
    for function in module.functions:
        if not is_identifier(function.name):
            raise bad_request(
                "InvalidFunctionName",
                f"{path} exports a function {function.name!r}, which nobody could call: names are "
                "1 to 64 ASCII letters, digits and underscores, and do not begin with a digit.",
            )


def _check_cron(identifier: str, udf_path: str, analysis: Mapping[str, AnalyzedModule]) -> None:
    path, _, name = udf_path.rpartition(":")
    module = analysis.get(path)
    function = None if module is None else module.find(name)
    if function is None or function.udf_type == "Query":
        raise bad_request(
            "InvalidCron",
            f'The cron job "{identifier}" names {udf_path!r}, which is not an exported mutation '
            "or action.",
        )


def _check_component(definition: PushComponentDefinition) -> None:
    if any(module.environment == "node" for module in definition.functions):
        raise bad_request(
            "NodeActionsNotSupported",
            f'Component {definition.definition_path} has a module with "use node". Actions in '
            "Node.js are only supported in the app.",
        )
    _check_modules(definition.functions, ())


def _check_modules(changed: Sequence[PushModule], unchanged: Sequence[UnchangedModule]) -> None:
    paths = [module.path for module in changed] + [module.path for module in unchanged]
    for path in paths:
        if decode_module_path(path) != path:
            raise bad_request(
                "BadConvexModuleIdentifier", f"{path!r} is not a module path: it must end in .js."
            )
    if len(set(paths)) != len(paths):
        raise bad_request("InvalidModules", "The push names a module more than once.")
    module_count = sum(not path.startswith(_CHUNKS) for path in paths)
    _check_count(module_count, _MODULES_MAX, "modules")
    _check_count(len(paths), _MODULES_WITH_CHUNKS_MAX, "modules and chunks")
    _check_environments(changed)


def _check_count(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise bad_request("InvalidModules", f"The push has {count} {what} (limit: {limit}).")


def _check_environments(modules: Sequence[PushModule]) -> None:
    for module in modules:
        if module.environment != "node":
            continue
        if module.path in _ISOLATE_ONLY:
            raise bad_request(
                "InvalidModules", f'"use node" is not allowed in {module.path}. Remove it.'
            )
        raise bad_request(
            "InvalidModules",
            f'{module.path} has "use node", but this deployment does not run Node.js actions yet.',
        )


def package_modules(modules: Sequence[PushModule]) -> list[PackagedModule]:
    """The modules as they are stored, ascending by path."""
    packaged = [
        PackagedModule(
            path=module.path,
            source=module.source,
            source_map=module.source_map,
            environment=module.environment,
        )
        for module in modules
    ]
    return sorted(packaged, key=lambda module: module.path)


def _stale(code: str, path: str, reason: str) -> FenchelError:
    return bad_request(
        code, f"The push takes {path} as unchanged, but that module {reason}. Push again."
    )
