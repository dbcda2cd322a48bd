"""Definitions of the app and its components, and the tree of instances that they make (execution
6.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from fenchel.errors import FenchelError, bad_request
from fenchel.values import is_identifier

_INSTANCES_MAX = 512
_SITE_URL = "CONVEX_SITE_URL"


class ValueBinding(msgspec.Struct, frozen=True, tag_field="type", tag="value"):
    """`value` is the text itself for an environment variable, Value JSON for an argument."""

    value: str


class VariableBinding(msgspec.Struct, frozen=True, tag_field="type", tag="envVar"):
    """The variable that the parent calls `name`."""

    name: str


EnvironmentBinding = ValueBinding | VariableBinding


class VariableDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """`value` is JSON text of a validator of strings."""

    type: Literal["value"]
    value: str
    optional: bool = False


class ChildDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One `use` of a component: `name` is the instance's, `path` that of the definition."""

    name: str
    path: str
    args: tuple[tuple[str, ValueBinding], ...] = ()
    env: tuple[tuple[str, EnvironmentBinding], ...] | None = None


class _DefinitionType(msgspec.Struct, frozen=True):
    type: Literal["app", "childComponent"]


class ComponentDefinition(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What `convex.config.ts` exports, as far as instances depend on it."""

    definition_type: _DefinitionType
    child_components: tuple[ChildDefinition, ...] = ()
    http_mounts: dict[str, str] = {}
    http_prefix: str | None = None
    env_vars: tuple[tuple[str, VariableDeclaration], ...] | None = None

    def prefix_of(self, child: str) -> str | None:
        """Where the HTTP actions of a child are mounted; None if they are not."""
        reference = f"_reference/childComponent/{child}"
        return next((p for p, mounted in self.http_mounts.items() if mounted == reference), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentInstance:
    """One mounted component and what it was given; the app is the root, its path and name empty.

    `args` are Value JSON texts by name. `mounts` are the path prefixes of children's HTTP actions.
    `http_prefix` is the instance's own below its parent, or that of the app's own routes; both
    begin and end with a slash. `http_path` is where its HTTP actions begin on the site, "" if they
    are not mounted.
    """

    path: str
    definition_path: str
    name: str
    args: Mapping[str, str]
    environment: Mapping[str, EnvironmentBinding]
    mounts: tuple[str, ...]
    children: tuple[ComponentInstance, ...]
    http_prefix: str | None = None
    http_path: str = ""

    def walk(self) -> Iterator[ComponentInstance]:
        """This instance and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def decode_component_definition(text: str, *, is_app: bool) -> ComponentDefinition:
    """The definition in what `export()` gave. Raises: InvalidDefinition."""
    try:
        definition = msgspec.json.decode(text, type=ComponentDefinition)
    except msgspec.MsgspecError as error:
        raise _invalid(f"it does not export a definition: {error}") from error
    if (definition.definition_type.type == "app") != is_app:
        wanted = "the app with `defineApp`" if is_app else "a component with `defineComponent`"
        raise _invalid(f"it must define {wanted}")
    return definition


def instantiate(definitions: Mapping[str, ComponentDefinition]) -> ComponentInstance:
    """The app's tree of components, checked. Definitions do not contain each other in a circle.

    Raises: TypecheckError, if names, arguments or variables of a `use` do not fit its definition.
    """
    builder = _TreeBuilder(definitions)
    app = ChildDefinition(name="", path="")
    return builder.build(app, None)


def place_site_url(system_variables: Mapping[str, str], http_path: str) -> dict[str, str]:
    """The variables of the system for a component with HTTP actions there (execution 3.9)."""
    placed = dict(system_variables)
    if http_path and _SITE_URL in placed:
        placed[_SITE_URL] += http_path
    return placed


def bind_environment(
    bindings: Mapping[str, EnvironmentBinding], parent_variables: Mapping[str, str]
) -> dict[str, str]:
    """The variables of an instance; one that the parent does not have is not there."""
    variables = {}
    for name, binding in bindings.items():
        match binding:
            case ValueBinding(value=value):
                variables[name] = value
            case VariableBinding(name=source) if source in parent_variables:
                variables[name] = parent_variables[source]
            case VariableBinding():
                pass
    return variables


def names_in_parent(bindings: Mapping[str, EnvironmentBinding]) -> list[str]:
    """The variables of the parent that an instance sees."""
    return [b.name for b in bindings.values() if isinstance(b, VariableBinding)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parent:
    """What an instance must know of the one that uses it. `mount` is where children's HTTP actions
    can be mounted below on the site, without a slash at its end; None if they cannot be reached.
    """

    path: str
    definition: ComponentDefinition
    variables: frozenset[str]
    mount: str | None


class _TreeBuilder:
    """Counts instances, because a few definitions can multiply to very many."""

    def __init__(self, definitions: Mapping[str, ComponentDefinition]) -> None:
        self._definitions = definitions
        self._count = 0

    def build(self, use: ChildDefinition, parent: _Parent | None) -> ComponentInstance:
        self._count += 1
        if self._count > _INSTANCES_MAX:
            raise _mismatch(f"The app has more than {_INSTANCES_MAX} components.")
        path = f"{parent.path}/{use.name}" if parent and parent.path else use.name
        definition = self._definitions.get(use.path)
        if definition is None:
            raise _mismatch(f'Component "{path}" uses {use.path!r}, which was not pushed.')
        environment = dict(use.env or ())
        declared = dict(definition.env_vars or ())
        if parent is not None:
            _check_name(use.name)
            _check_environment(path, environment, declared, parent.variables)
        _check_names(path, definition)
        _check_prefixes(path, definition)
        prefix = definition.http_prefix if parent is None else parent.definition.prefix_of(use.name)
        mount = "" if parent is None else _mount_below(parent.mount, prefix)
        here = _Parent(path=path, definition=definition, variables=frozenset(declared), mount=mount)
        children = [self.build(child, here) for child in definition.child_components]
        return ComponentInstance(
            path=path,
            definition_path=use.path,
            name=use.name,
            args={name: binding.value for name, binding in use.args},
            environment=environment,
            mounts=tuple(definition.http_mounts),
            children=tuple(children),
            http_prefix=prefix,
            http_path=(prefix or "").rstrip("/") if parent is None else mount or "",
        )


def _check_name(name: str) -> None:
    if not is_identifier(name):
        raise _mismatch(
            f'"{name}" is not a name for a component. Use letters, digits and underscores.'
        )


def _check_names(path: str, definition: ComponentDefinition) -> None:
    names = [child.name for child in definition.child_components]
    for name in names:
        if names.count(name) > 1:
            raise _mismatch(
                f'{_place(path)} uses two components with the name "{name}". Give one of them '
                "another name: `use(component, { name })`."
            )


def _check_prefixes(path: str, definition: ComponentDefinition) -> None:
    prefixes = [*definition.http_mounts, *filter(None, [definition.http_prefix])]
    for prefix in prefixes:
        if not (prefix.startswith("/") and prefix.endswith("/")):
            raise _mismatch(
                f'{_place(path)} has the HTTP prefix "{prefix}", which does not begin and end with '
                "a slash."
            )


def _mount_below(parent: str | None, prefix: str | None) -> str | None:
    return None if parent is None or prefix is None else parent + prefix.rstrip("/")


def _check_environment(
    path: str,
    environment: Mapping[str, EnvironmentBinding],
    declared: Mapping[str, VariableDeclaration],
    parent_variables: frozenset[str],
) -> None:
    for name, declaration in declared.items():
        if name not in environment and not declaration.optional:
            raise _mismatch(
                f'Component "{path}" needs the environment variable "{name}". Pass it: '
                f"`use(component, {{ env: {{ {name}: … }} }})`."
            )
    for name, binding in environment.items():
        if name not in declared:
            raise _mismatch(
                f'Component "{path}" declares no environment variable "{name}". Do not pass it.'
            )
        if isinstance(binding, VariableBinding) and binding.name not in parent_variables:
            raise _mismatch(
                f'Component "{path}" is given the environment variable "{binding.name}", which '
                "its parent does not declare."
            )


def _place(path: str) -> str:
    return f'Component "{path}"' if path else "The app"


def _mismatch(message: str) -> FenchelError:
    return bad_request("TypecheckError", message)


def _invalid(reason: str) -> FenchelError:
    return bad_request("InvalidDefinition", f"convex.config.ts is not valid: {reason}.")
