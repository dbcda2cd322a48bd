"""Sizes of values (client-protocol specification 1.5)."""

import pytest

from fenchel.values import value_size


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [
        (None, 1),
        (True, 1),
        (1, 9),
        (1.0, 9),
        ("", 2),
        ("aé", 5),
        (b"abc", 5),
        ([], 2),
        ([1.0, None], 12),
        ({}, 2),
        ({"_id": "x" * 32}, 2 + 4 + 34),
        ({"_creationTime": 1.0}, 2 + 23),
    ],
)
def test_size(value, size_bytes):
    assert value_size(value) == size_bytes
