"""Field paths (database specification 4.3)."""

import pytest

from fenchel.documents import decode_field_path, encode_field_path, get_field
from fenchel.errors import FenchelError
from fenchel.values import UNDEFINED


def test_paths_are_identifiers_joined_by_dots():
    assert decode_field_path("a.b_1._c") == ("a", "b_1", "_c")
    assert encode_field_path(("a", "b")) == "a.b"


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "1a", "a-b", "$a"])
def test_other_texts_are_refused(text):
    with pytest.raises(FenchelError):
        decode_field_path(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {"b": 1.0}}, 1.0),
        ({"a": {"b": None}}, None),
        ({"a": {}}, UNDEFINED),
        ({"a": [{"b": 1.0}]}, UNDEFINED),
        ({}, UNDEFINED),
        (None, UNDEFINED),
    ],
)
def test_a_path_steps_through_objects_only(value, expected):
    assert get_field(value, ("a", "b")) == expected
