"""Environment variables that apps and components declare with validators (execution 3.9, 6.6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fenchel.definitions.component_definition import (
    ComponentDefinition,
    ComponentInstance,
    VariableBinding,
    bind_environment,
)
from fenchel.definitions.validator import (
    LiteralValidator,
    Scalar,
    UnionValidator,
    Validator,
    decode_validator,
    render_validator,
)
from fenchel.errors import FenchelError, bad_request
from fenchel.values import parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableProblems:
    """`missing` are names of the deployment's variables, `mismatches` sentences without values,
    which may be secrets; both sorted.
    """

    missing: Sequence[str]
    mismatches: Sequence[str]


def check_declarations(definitions: Mapping[str, ComponentDefinition]) -> None:
    """Raises: InvalidDefinition if a declared variable is not one of strings."""
    for path, definition in definitions.items():
        for name, declaration in definition.env_vars or ():
            if not _is_of_strings(_decode(declaration.value)):
                place = f" of {path}" if path else ""
                raise bad_request(
                    "InvalidDefinition",
                    f'The environment variable "{name}" in convex.config.ts{place} must be '
                    "declared with v.string(), a literal of a string, or a union of these.",
                )


def find_variable_problems(
    app: ComponentInstance,
    definitions: Mapping[str, ComponentDefinition],
    variables: Mapping[str, str],
    *,
    built_in: Collection[str],
) -> VariableProblems:
    """What is wrong with the deployment's variables for the app and for every component.

    `built_in` are names that are always set. A text that a parent gives its child is looked at like
    a variable of the deployment.
    """
    missing: set[str] = set()
    mismatches: set[str] = set()
    # Of each instance: its variables, and where in the deployment they come from.
    app_origins = {name: name for name, _ in definitions[app.definition_path].env_vars or ()}
    pending: list[tuple[ComponentInstance, Mapping[str, str], Mapping[str, str]]]
    pending = [(app, variables, app_origins)]
    while pending:
        instance, own, origins = pending.pop()
        for name, declaration in definitions[instance.definition_path].env_vars or ():
            value = own.get(name)
            if value is None:
                if not declaration.optional and name not in built_in and name in origins:
                    missing.add(origins[name])
            elif not _allows(_decode(declaration.value), value):
                mismatches.add(_describe(instance, name, origins, declaration.value))
        for child in instance.children:
            bound = bind_environment(child.environment, own)
            pending.append((child, bound, _origins_of(child, origins)))
    return VariableProblems(missing=sorted(missing), mismatches=sorted(mismatches))


def _origins_of(child: ComponentInstance, parent: Mapping[str, str]) -> dict[str, str]:
    return {
        name: parent[binding.name]
        for name, binding in child.environment.items()
        if isinstance(binding, VariableBinding) and binding.name in parent
    }


def _describe(
    instance: ComponentInstance, name: str, origins: Mapping[str, str], validator_json: str
) -> str:
    origin = origins.get(name)
    what = f'environment variable "{origin}"' if origin else f'text given for "{name}"'
    wanted = render_validator(_decode(validator_json))
    place = f' of component "{instance.path}" as "{name}"' if instance.path else ""
    return f"The {what} does not match {wanted}, which convex.config.ts{place} declares."


@lru_cache(maxsize=1_024)
def _decode(validator_json: str) -> Validator:
    try:
        return decode_validator(parse_json(validator_json))
    except FenchelError as error:
        raise bad_request(
            "InvalidDefinition", f"convex.config.ts declares a variable: {error.message}"
        ) from error


def _is_of_strings(validator: Validator) -> bool:
    match validator:
        case UnionValidator(members=members):
            return all(map(_is_of_strings, members))
        case LiteralValidator(value=value):
            return isinstance(value, str)
        case _:
            return validator is Scalar.STRING


def _allows(validator: Validator, value: str) -> bool:
    match validator:
        case UnionValidator(members=members):
            return any(_allows(member, value) for member in members)
        case LiteralValidator(value=wanted):
            return value == wanted
        case _:
            return validator is Scalar.STRING
