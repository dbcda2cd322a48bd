"""Names of functions (execution specification 1.1)."""

import pytest

from fenchel.definitions import FunctionPath, decode_function_path, decode_module_path
from fenchel.errors import FenchelError


@pytest.mark.parametrize(
    ("text", "canonical", "stripped"),
    [
        ("messages:list", "messages.js:list", "messages:list"),
        ("messages.js:list", "messages.js:list", "messages:list"),
        ("a/b", "a/b.js:default", "a/b"),
        ("a.js", "a.js:default", "a"),
        ("foo.bar.js:f", "foo.bar.js:f", "foo.bar:f"),
        ("a/b:default", "a/b.js:default", "a/b"),
        ("_system/cli/tables", "_system/cli/tables.js:default", "_system/cli/tables"),
    ],
)
def test_canonical_and_stripped_forms(text, canonical, stripped):
    path = decode_function_path(text)
    assert (path.canonical, path.stripped) == (canonical, stripped)
    assert decode_function_path(canonical) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":list",
        "a:",
        "a:b c",
        "a:_",
        "/a:b",
        "a//b:c",
        "./a:b",
        "../a:b",
        "a-b:c",
        "foo.bar:c",
        "a/..js:c",
        "é:c",
        "_/a:b",
        "x" * 62 + ":f",
        "a:b:c",
    ],
)
def test_bad_paths_are_refused(text):
    with pytest.raises(FenchelError) as caught:
        decode_function_path(text)
    assert caught.value.code == "BadConvexFunctionIdentifier"


def test_a_component_of_64_characters_with_its_extension_is_fine():
    assert decode_module_path("x" * 61) == "x" * 61 + ".js"


def test_the_auth_config_module_has_a_dot_in_its_name():
    assert decode_module_path("auth.config.js") == "auth.config.js"


def test_paths_know_their_component_and_whether_they_are_reserved():
    path = decode_function_path("a:f", component="child")
    assert str(path) == "a.js:f in child"
    assert str(FunctionPath("", "a.js", "f")) == "a.js:f"
    assert decode_function_path("_system/x:f").is_system
    assert not path.is_system
