"""From evaluated definitions to the tree of instances (execution 6.6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fenchel.definitions import (
    ComponentDefinition,
    bind_environment,
    decode_component_definition,
    instantiate,
    names_in_parent,
    place_site_url,
)
from fenchel.errors import FenchelError


def definition(*uses: dict[str, Any], env: dict[str, bool] | None = None) -> ComponentDefinition:
    """`env` says of each declared variable whether it is optional."""
    declared = [
        (name, {"type": "value", "value": '{"type":"string"}', "optional": is_optional})
        for name, is_optional in (env or {}).items()
    ]
    value = {"definitionType": {"type": "app"}, "childComponents": uses, "envVars": declared}
    return msgspec.convert(value, ComponentDefinition)


def use(name: str, path: str, **env: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "path": path, "args": [], "env": list(env.items())}


def test_one_definition_makes_many_instances() -> None:
    app = instantiate(
        {
            "": definition(use("one", "counter"), use("two", "counter")),
            "counter": definition(use("inner", "store")),
            "store": definition(),
        }
    )
    assert [(i.path, i.definition_path) for i in app.walk()] == [
        ("", ""),
        ("one", "counter"),
        ("one/inner", "store"),
        ("two", "counter"),
        ("two/inner", "store"),
    ]


def mounting(
    prefixes: dict[str, str], *uses: dict[str, Any], http_prefix: str | None = None
) -> ComponentDefinition:
    """`prefixes` by the names of children."""
    return msgspec.structs.replace(
        definition(*uses),
        http_mounts={
            prefix: f"_reference/childComponent/{name}" for name, prefix in prefixes.items()
        },
        http_prefix=http_prefix,
    )


def test_http_prefixes_add_up_as_long_as_every_component_is_mounted() -> None:
    app = instantiate(
        {
            "": mounting({"one": "/x/"}, use("one", "c"), use("two", "c"), http_prefix="/api/"),
            "c": mounting({"inner": "/y/z/"}, use("inner", "s")),
            "s": definition(),
        }
    )
    assert {i.path: (i.http_prefix, i.http_path, i.mounts) for i in app.walk()} == {
        "": ("/api/", "/api", ("/x/",)),
        "one": ("/x/", "/x", ("/y/z/",)),
        "one/inner": ("/y/z/", "/x/y/z", ()),
        "two": (None, "", ("/y/z/",)),
        "two/inner": ("/y/z/", "", ()),
    }


@pytest.mark.parametrize("prefix", ["x/", "/x", ""])
def test_http_prefixes_have_slashes(prefix: str) -> None:
    with pytest.raises(FenchelError, match="HTTP prefix"):
        instantiate({"": mounting({"one": prefix}, use("one", "c")), "c": definition()})


def test_the_site_url_of_a_component_is_where_it_is_mounted() -> None:
    system = {"CONVEX_CLOUD_URL": "http://c", "CONVEX_SITE_URL": "http://s"}
    assert place_site_url(system, "/x") == {**system, "CONVEX_SITE_URL": "http://s/x"}
    assert place_site_url(system, "") == system
    assert place_site_url({}, "/x") == {}


def test_variables_are_bound_to_texts_and_to_those_of_the_parent() -> None:
    passed = use(
        "hits", "counter", A={"type": "value", "value": "a"}, B={"type": "envVar", "name": "X"}
    )
    app = instantiate(
        {
            "": definition(passed, env={"X": True}),
            "counter": definition(env={"A": False, "B": False, "C": True}),
        }
    )
    bindings = app.children[0].environment
    assert bind_environment(bindings, {"X": "x", "Y": "y"}) == {"A": "a", "B": "x"}
    assert bind_environment(bindings, {}) == {"A": "a"}
    assert names_in_parent(bindings) == ["X"]


@pytest.mark.parametrize(
    ("definitions", "text"),
    [
        ({"": definition(use("a", "c"), use("a", "c")), "c": definition()}, 'the name "a"'),
        ({"": definition(use("a", "c"))}, "was not pushed"),
        ({"": definition(use("a/b", "c")), "c": definition()}, "not a name"),
        ({"": definition(use("a", "c")), "c": definition(env={"E": False})}, "needs"),
        (
            {
                "": definition(use("a", "c", E={"type": "value", "value": "x"})),
                "c": definition(),
            },
            "declares no",
        ),
        (
            {
                "": definition(use("a", "c", E={"type": "envVar", "name": "X"})),
                "c": definition(env={"E": False}),
            },
            "parent does not declare",
        ),
    ],
)
def test_what_does_not_fit(definitions: dict[str, ComponentDefinition], text: str) -> None:
    with pytest.raises(FenchelError, match=text) as caught:
        instantiate(definitions)
    assert caught.value.code == "TypecheckError"


def test_the_number_of_instances_is_bounded() -> None:
    doubling = {str(n): definition(use("a", str(n + 1)), use("b", str(n + 1))) for n in range(30)}
    with pytest.raises(FenchelError, match="more than 512 components"):
        instantiate({"": definition(use("a", "0")), **doubling, "30": definition()})


@pytest.mark.parametrize(
    ("text", "is_app"),
    [
        ("[]", True),
        ('{"definitionType":{"type":"app"}}', False),
        ('{"definitionType":{"type":"childComponent"}}', True),
        ('{"definitionType":{"type":"app"},"childComponents":7}', True),
    ],
)
def test_exports_that_are_no_definition(text: str, is_app: bool) -> None:
    with pytest.raises(FenchelError) as caught:
        decode_component_definition(text, is_app=is_app)
    assert caught.value.code == "InvalidDefinition"
