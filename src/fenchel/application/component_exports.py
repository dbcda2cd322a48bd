"""What a component offers to its parent: its public functions, by file (execution 6.7).

Source of the forms: deploy-protocol 2.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fenchel.definitions import AnalyzedModule
from fenchel.errors import bad_request

# Leaves are canonical function paths ("a/b.js:run").
ExportTree = dict[str, "str | ExportTree"]


def build_exports(analysis: Mapping[str, AnalyzedModule]) -> ExportTree:
    """Public functions by the parts of their module's path and their name, in order.

    Raises: InvalidDefinition if a function and a folder have one name.
    """
    tree: ExportTree = {}
    for path in sorted(analysis):
        for function in sorted(analysis[path].functions, key=lambda function: function.name):
            if not function.is_internal:
                parts = path.removesuffix(".js").split("/")
                _insert(tree, [*parts, function.name], f"{path}:{function.name}")
    return tree


def encode_definition_exports(tree: ExportTree) -> dict[str, Any]:
    """As part of a definition: references within the component."""
    branch = []
    for name, node in sorted(tree.items()):
        if isinstance(node, str):
            branch.append((name, {"type": "leaf", "leaf": f"_reference/function/{node}"}))
        else:
            branch.append((name, encode_definition_exports(node)))
    return {"type": "branch", "branch": branch}


def encode_instance_exports(tree: ExportTree, component: str) -> dict[str, Any]:
    """As part of the checked tree: functions of this instance."""
    exports: dict[str, Any] = {}
    for name, node in sorted(tree.items()):
        if isinstance(node, str):
            path = {"component": component, "udfPath": node}
            resource = {"type": "function", "path": path}
            exports[name] = {"type": "leaf", "resource": resource}
        else:
            children = encode_instance_exports(node, component)
            exports[name] = {"type": "branch", "children": children}
    return exports


def _insert(tree: ExportTree, parts: list[str], leaf: str) -> None:
    *folders, name = parts
    for folder in folders:
        child = tree.setdefault(folder, {})
        if isinstance(child, str):
            raise _clash(leaf, child)
        tree = child
    other = tree.setdefault(name, leaf)
    if other != leaf:
        raise _clash(leaf, name)


def _clash(leaf: str, other: str) -> Exception:
    return bad_request(
        "InvalidDefinition", f"{leaf} cannot be exported beside {other}. Rename one of them."
    )
