"""Which handler answers which path. Exact paths first, then prefixes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fenchel.errors import ErrorKind, FenchelError
from fenchel.server.request import Request
from fenchel.server.response import Response

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """One family of endpoints: handlers by (method, path), and by (method, path prefix)."""

    exact: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    prefixes: Mapping[tuple[str, str], Handler] = field(default_factory=dict)


class Router:
    """Invariant: no two families offer the same route."""

    def __init__(self, *families: Routes) -> None:
        self._exact: dict[tuple[str, str], Handler] = {}
        self._prefixes: dict[tuple[str, str], Handler] = {}
        for family in families:
            assert not self._exact.keys() & family.exact.keys()
            assert not self._prefixes.keys() & family.prefixes.keys()
            self._exact.update(family.exact)
            self._prefixes.update(family.prefixes)
        self._paths = {path for _, path in self._exact}

    def find(self, method: str, path: str) -> Handler:
        """Raises: NotFound; MethodNotAllowed, a 400 that the CLI does not retry (deploy 1.7)."""
        handler = self._exact.get((method, path))
        if handler is not None:
            return handler
        for (prefix_method, prefix), prefix_handler in self._prefixes.items():
            if prefix_method == method and path.startswith(prefix):
                return prefix_handler
        if path in self._paths:
            raise FenchelError(
                ErrorKind.BAD_REQUEST, "MethodNotAllowed", f"{method} is not offered at {path}."
            )
        raise FenchelError(ErrorKind.NOT_FOUND, "NotFound", f"There is nothing at {path}.")
