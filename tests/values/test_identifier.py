"""Identifier rule (execution specification 4.5)."""

import pytest

from fenchel.values import is_identifier


@pytest.mark.parametrize("text", ["a", "A1", "_a", "a_", "a" * 64])
def test_identifiers(text):
    assert is_identifier(text)


@pytest.mark.parametrize("text", ["", "1a", "_", "___", "a-b", "é", "a b", "a" * 65, "a\n"])
def test_not_identifiers(text):
    assert not is_identifier(text)
