"""Environment variables that are declared with validators (execution 3.9, 6.6)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fenchel.definitions import (
    ComponentDefinition,
    check_declarations,
    find_variable_problems,
    instantiate,
)
from fenchel.errors import FenchelError

TEXT: dict[str, Any] = {"type": "string"}
A_OR_B: dict[str, Any] = {
    "type": "union",
    "value": [{"type": "literal", "value": "a"}, {"type": "literal", "value": "b"}],
}


def optional(validator: dict[str, Any]) -> dict[str, Any]:
    return {**validator, "optional": True}


def definition(*uses: dict[str, Any], **declared: dict[str, Any]) -> ComponentDefinition:
    """`declared` are validators by the names of variables."""
    variables = []
    for name, validator in declared.items():
        is_optional = validator.get("optional", False)
        text = json.dumps({k: v for k, v in validator.items() if k != "optional"})
        variables.append((name, {"type": "value", "value": text, "optional": is_optional}))
    value = {
        "definitionType": {"type": "app"},
        "childComponents": uses,
        "envVars": variables,
    }
    return msgspec.convert(value, ComponentDefinition)


def use(name: str, **env: str) -> dict[str, Any]:
    """An instance of `c`; a text that begins with $ names a variable of the parent."""
    bindings = [
        (
            key,
            {"type": "envVar", "name": text[1:]}
            if text[0] == "$"
            else {"type": "value", "value": text},
        )
        for key, text in env.items()
    ]
    return {"name": name, "path": "c", "env": bindings}


def problems(
    definitions: dict[str, ComponentDefinition], **variables: str
) -> tuple[list[str], list[str]]:
    found = find_variable_problems(
        instantiate(definitions), definitions, variables, built_in={"CONVEX_SITE_URL"}
    )
    return list(found.missing), list(found.mismatches)


def test_what_the_app_requires_must_be_set() -> None:
    app = {"": definition(A=TEXT, B=optional(TEXT), CONVEX_SITE_URL=TEXT)}
    assert problems(app) == (["A"], [])
    assert problems(app, A="") == ([], [])


def test_values_must_match_and_are_not_told() -> None:
    app = {"": definition(MODE=A_OR_B, OTHER=optional({"type": "literal", "value": "x"}))}
    assert problems(app, MODE="a") == ([], [])
    missing, mismatches = problems(app, MODE="secret", OTHER="y")
    assert missing == []
    assert len(mismatches) == 2
    assert '"MODE"' in mismatches[0]
    assert 'v.union(v.literal("a"), v.literal("b"))' in mismatches[0]
    assert "secret" not in str(mismatches)


def test_a_component_may_want_more_of_a_variable_than_its_parent() -> None:
    definitions = {
        "": definition(use("one", MODE="$M"), M=optional(TEXT)),
        "c": definition(MODE=A_OR_B),
    }
    assert problems(definitions, M="b") == ([], [])
    assert problems(definitions) == (["M"], [])
    missing, (mismatch,) = problems(definitions, M="c")
    assert missing == []
    assert '"M"' in mismatch
    assert 'component "one" as "MODE"' in mismatch


def test_texts_given_to_a_component_must_match_too() -> None:
    definitions = {"": definition(use("one", MODE="c")), "c": definition(MODE=A_OR_B)}
    missing, (mismatch,) = problems(definitions)
    assert missing == []
    assert 'text given for "MODE"' in mismatch


def test_an_optional_variable_that_is_not_passed_is_no_problem() -> None:
    definitions = {"": definition(use("one")), "c": definition(MODE=optional(A_OR_B))}
    assert problems(definitions) == ([], [])


@pytest.mark.parametrize("validator", [TEXT, A_OR_B, {"type": "union", "value": [A_OR_B, TEXT]}])
def test_variables_are_texts(validator: dict[str, Any]) -> None:
    check_declarations({"": definition(A=validator)})


@pytest.mark.parametrize(
    "validator",
    [
        {"type": "number"},
        {"type": "literal", "value": 1},
        {"type": "union", "value": [TEXT, {"type": "null"}]},
        {"type": "nonsense"},
    ],
)
def test_other_types_are_refused(validator: dict[str, Any]) -> None:
    with pytest.raises(FenchelError) as caught:
        check_declarations({"c": definition(A=validator)})
    assert caught.value.code == "InvalidDefinition"
