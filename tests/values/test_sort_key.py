"""Total order of values (database specification 4.2 and 11, items 2, 3, 17, 18)."""

import math
import struct

import pytest
from hypothesis import given

from fenchel.values import UNDEFINED, compare_values, encode_sort_key
from tests.values.strategies import values

VECTORS = [
    (UNDEFINED, "01"),
    (None, "03"),
    (0, "08"),
    (1, "0901"),
    (-1, "07ff"),
    (127, "097f"),
    (128, "0a0080"),
    (-128, "0780"),
    (-129, "06ff7f"),
    (300, "0a012c"),
    ((1 << 63) - 1, "0c7fffffffffffffff"),
    (-(1 << 63), "048000000000000000"),
    (0.0, "0d8000000000000000"),
    (-0.0, "0d7fffffffffffffff"),
    (1.0, "0dbff0000000000000"),
    (-1.5, "0d4007ffffffffffff"),
    (math.inf, "0dfff0000000000000"),
    (False, "0e"),
    (True, "0f"),
    ("", "1000"),
    ("a\0b", "106100ff6200"),
    (b"\x00\xff", "1100ffff00"),
    ([], "1200"),
    ([None, "x"], "120310780000"),
    ({}, "1500"),
    ({"a": True}, "1561000f00"),
    ({"": None}, "1500ff0300"),
]

NEGATIVE_NAN = struct.unpack(">d", bytes.fromhex("fff8000000000000"))[0]

ASCENDING = [
    UNDEFINED,
    None,
    -(1 << 63),
    -1,
    0,
    1,
    1 << 40,
    NEGATIVE_NAN,
    -math.inf,
    -1.0,
    -0.0,
    0.0,
    0.5,
    math.inf,
    math.nan,
    False,
    True,
    "",
    "a",
    "a\0",
    "aa",
    "\uffff",
    "\U0001f600",
    b"",
    b"\x00",
    b"\x00\x01",
    b"\x01",
    [],
    [None],
    [None, None],
    [1.0],
    [[]],
    {},
    {"": None},
    {"": 1.0, "a": 1.0},
    {"a": 1.0},
    {"a": 1.0, "b": None},
    {"a": 2.0},
    {"b": None},
]


@pytest.mark.parametrize(("value", "key"), VECTORS)
def test_the_vectors_of_the_specification(value, key):
    assert encode_sort_key(value).hex() == key


def test_every_pair_of_the_written_order_compares_so():
    for i, a in enumerate(ASCENDING):
        for j, b in enumerate(ASCENDING):
            assert compare_values(a, b) == (i > j) - (i < j), (a, b)


@given(values(), values())
def test_a_longer_key_continues_a_shorter_one_only_with_an_escape(a, b):
    key_a, key_b = encode_sort_key(a), encode_sort_key(b)
    if key_a != key_b and key_b.startswith(key_a):
        assert key_b[len(key_a)] == 0xFF


@given(values(), values())
def test_order_of_the_first_part_decides_in_concatenated_keys(a, b):
    tail_a, tail_b = encode_sort_key("z"), encode_sort_key(None)
    if compare_values(a, b) < 0:
        assert encode_sort_key(a) + tail_a < encode_sort_key(b) + tail_b


@given(values())
def test_no_key_starts_with_ff(value):
    assert encode_sort_key(value)[0] < 0x20


def test_a_python_integer_outside_of_64_bits_is_a_bug():
    with pytest.raises(AssertionError):
        encode_sort_key(1 << 63)
