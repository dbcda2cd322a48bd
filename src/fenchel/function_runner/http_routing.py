"""Which component's `http.js` answers an HTTP request (execution 7.8).

The most specific route wins: an exact one of `http.js`, then the longest prefix of a route or of a
child's mount. A mount hands what is left of the path to the child, which routes in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.database import ROOT, Transaction
from fenchel.definitions import AnalyzedHttpRoute, FunctionPath
from fenchel.errors import ErrorKind, FenchelError
from fenchel.function_runner.code_lookup import CodeLookup
from fenchel.function_runner.code_source import DeployedCode
from fenchel.model import get_component, list_http_mounts

_NOT_ENABLED = "This Convex deployment does not have HTTP actions enabled."


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTarget:
    """`path` is what the router of that `http.js` looks at."""

    function: FunctionPath
    code: DeployedCode
    path: str


async def find_http_target(
    transaction: Transaction, code_lookup: CodeLookup, *, method: str, path: str
) -> HttpTarget:
    """The router to ask, which may still have no route for the request.

    Raises: HttpActionsNotEnabled, NoMatchingRoutes.
    """
    method = "GET" if method == "HEAD" else method
    app = await get_component(transaction, ROOT)
    own_path = _without_prefix(path, app.http_prefix if app else None)
    component = ROOT
    while True:
        function = FunctionPath(component, "http.js", "default")
        found = await code_lookup.find(transaction, function)
        routes = found.module.http_routes if found.module else None
        mount = None
        if routes is None or own_path is None or not _has_exact(routes, method, own_path):
            suffix = _prefix_suffix(routes or (), method, own_path)
            mount = await _find_mount(transaction, component, path, suffix)
        if mount is None:
            if routes is None:
                raise FenchelError(ErrorKind.NOT_FOUND, "HttpActionsNotEnabled", _NOT_ENABLED)
            if own_path is None:
                raise FenchelError(
                    ErrorKind.NOT_FOUND, "NoMatchingRoutes", "No matching routes found"
                )
            assert found.code is not None, "a module is deployed, so a package is"
            return HttpTarget(function=function, code=found.code, path=own_path)
        component, path = mount
        own_path = path


def _without_prefix(path: str, prefix: str | None) -> str | None:
    """The path below the prefix; None if it is not there."""
    if prefix is None:
        return path
    return "/" + path.removeprefix(prefix) if path.startswith(prefix) else None


def _has_exact(routes: tuple[AnalyzedHttpRoute, ...], method: str, path: str) -> bool:
    return any(r.route.method == method and r.route.path == path for r in routes)


def _prefix_suffix(
    routes: tuple[AnalyzedHttpRoute, ...], method: str, path: str | None
) -> str | None:
    """What the longest prefix route leaves of the path; None if there is no such route."""
    if path is None:
        return None
    suffixes = [
        path.removeprefix(r.route.path[:-1])
        for r in routes
        if r.route.method == method
        and r.route.path.endswith("*")
        and path.startswith(r.route.path[:-1])
    ]
    return min(suffixes, key=len, default=None)


async def _find_mount(
    transaction: Transaction, component: str, path: str, route_suffix: str | None
) -> tuple[str, str] | None:
    """The child that the path leads to, and the rest of the path; None if a route is as good."""
    best: tuple[str, str] | None = None
    best_length = None if route_suffix is None else len(route_suffix)
    for child, prefix in await list_http_mounts(transaction, component):
        if path.startswith(prefix):
            suffix = path.removeprefix(prefix)
            if best_length is None or len(suffix) < best_length:
                best, best_length = (child, "/" + suffix), len(suffix)
    return best
