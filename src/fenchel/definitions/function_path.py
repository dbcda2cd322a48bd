"""Names of functions: component path, module path, export (execution specification 1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fenchel.errors import FenchelError, bad_request
from fenchel.values import is_identifier

_COMPONENT = re.compile(r"[A-Za-z0-9_.]{1,64}")


@dataclass(frozen=True, slots=True, order=True)
class FunctionPath:
    """One exported function of one component.

    `component` is "" for the root, else names joined by "/". `module` is canonical ("a/b.js").
    """

    component: str
    module: str
    function: str

    @property
    def canonical(self) -> str:
        """`a/b.js:list`, without the component."""
        return f"{self.module}:{self.function}"

    @property
    def stripped(self) -> str:
        """The form shown to users: no `.js`, no `:default`."""
        module = self.module.removesuffix(".js")
        return module if self.function == "default" else f"{module}:{self.function}"

    @property
    def is_system(self) -> bool:
        """True for the reserved tree `_system/`, which only admins may call."""
        return self.module.split("/", 1)[0] == "_system"

    def __str__(self) -> str:
        return f"{self.canonical} in {self.component}" if self.component else self.canonical


def decode_module_path(text: str) -> str:
    """Canonical module path, with `.js`. Raises: BadConvexModuleIdentifier."""
    has_extension = "." in text.rsplit("/", 1)[-1]
    if has_extension and not text.endswith(".js"):
        raise bad_request(
            "BadConvexModuleIdentifier",
            f"{text!r} is not a valid module path: its extension must be .js.",
        )
    path = text if has_extension else f"{text}.js"
    if not all(map(_is_path_component, path.split("/"))):
        raise bad_request(
            "BadConvexModuleIdentifier",
            f"{text!r} is not a valid module path: components must be 1 to 64 characters "
            "of letters, digits, underscores and periods.",
        )
    return path


def _is_path_component(part: str) -> bool:
    return _COMPONENT.fullmatch(part) is not None and any(
        map(str.isalnum, part.removesuffix(".js"))
    )


def decode_function_path(text: str, *, component: str = "") -> FunctionPath:
    """`module[:function]`, split at the last colon; a missing function means `default`.

    Raises: BadConvexFunctionIdentifier.
    """
    module, colon, function = text.rpartition(":")
    if not colon:
        module, function = text, "default"
    if not is_identifier(function):
        raise bad_request(
            "BadConvexFunctionIdentifier", f"{text!r} is not a valid path to a Convex function."
        )
    try:
        return FunctionPath(component, decode_module_path(module), function)
    except FenchelError as error:
        raise bad_request(
            "BadConvexFunctionIdentifier",
            f"{text!r} is not a valid path to a Convex function. {error.message}",
        ) from error
