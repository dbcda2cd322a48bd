"""Values in error texts (database specification 5.4)."""

import math

import pytest

from fenchel.values import UNDEFINED, render_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (UNDEFINED, "undefined"),
        (True, "true"),
        (5, "5"),
        (5.0, "5.0"),
        (-0.0, "-0.0"),
        (1e21, "1e21"),
        (1.5e-7, "1.5e-7"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        ('a"\n\x01é', '"a\\"\\n\\u{1}é"'),
        (b"\x00a", 'b"\\x00\\x61"'),
        ([1.0, "x"], '[1.0, "x"]'),
        ({"b": 1, "a": {}}, "{a: {}, b: 1}"),
    ],
)
def test_rendering(value, text):
    assert render_value(value) == text
