"""What a component offers to its parent (execution 6.7, deploy-protocol 2.7)."""

from __future__ import annotations

import pytest

from fenchel.application.component_exports import (
    build_exports,
    encode_definition_exports,
    encode_instance_exports,
)
from fenchel.definitions import AnalyzedFunction, AnalyzedModule, Visibility
from fenchel.errors import FenchelError


def module(**visibilities: str) -> AnalyzedModule:
    return AnalyzedModule(
        functions=tuple(
            AnalyzedFunction(name=name, udf_type="Query", visibility=Visibility(kind))  # type: ignore[arg-type]
            for name, kind in visibilities.items()
        )
    )


def test_public_functions_are_found_by_their_files() -> None:
    tree = build_exports(
        {
            "b.js": module(run="public", hidden="internal"),
            "a/c.js": module(get="public"),
            "empty.js": module(),
        }
    )
    assert tree == {"a": {"c": {"get": "a/c.js:get"}}, "b": {"run": "b.js:run"}}
    assert encode_definition_exports(tree)["branch"][1] == (
        "b",
        {
            "type": "branch",
            "branch": [("run", {"type": "leaf", "leaf": "_reference/function/b.js:run"})],
        },
    )
    path = {"component": "hits", "udfPath": "b.js:run"}
    assert encode_instance_exports(tree, "hits")["b"] == {
        "type": "branch",
        "children": {"run": {"type": "leaf", "resource": {"type": "function", "path": path}}},
    }


@pytest.mark.parametrize("folder", ["a/b.js", "a/b/c.js"])
def test_a_function_beside_a_folder_of_its_name(folder: str) -> None:
    with pytest.raises(FenchelError, match="InvalidDefinition"):
        build_exports({"a.js": module(b="public"), folder: module(b="public")})
