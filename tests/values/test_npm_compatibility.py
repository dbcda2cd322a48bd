"""Codec, sizes and order are those of npm `convex/values`, on random values."""

import math
import random
import struct
from itertools import pairwise

from fenchel.values import (
    INT64_MAX,
    INT64_MIN,
    compare_values,
    decode_json,
    encode_json,
    encode_sort_key,
    value_size,
)

SEED = 20_241
COUNT = 4_000
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, math.nan, math.inf, -math.inf, 1e21, 5e-324, 1e-7, 2.0**53]
ALPHABET = ["", "a", "b", "\0", "\x7f", "é", "\uffff", "\U0001f600", "\ue000", '"', "\\", "\u2028"]
NAMES = ["", "a", "b", "aa", "a b", "~", "_x", "A", "9"]


def random_float(rng):
    if rng.random() < 0.5:
        return rng.choice(FLOATS)
    number = struct.unpack("<d", rng.randbytes(8))[0]
    # JavaScript does not keep the payload of a NaN.
    return math.nan if math.isnan(number) else number


def random_int(rng):
    if rng.random() < 0.3:
        return rng.choice([0, 1, -1, 127, 128, -128, -129, INT64_MAX, INT64_MIN])
    return rng.randrange(INT64_MIN, INT64_MAX) >> rng.randrange(64)


def random_value(rng, depth):
    kind = rng.randrange(9 if depth else 7)
    match kind:
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return random_int(rng)
        case 3 | 4:
            return random_float(rng)
        case 5:
            return "".join(rng.choices(ALPHABET, k=rng.randrange(4)))
        case 6:
            return rng.randbytes(rng.randrange(4))
        case 7:
            return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            names = rng.sample(NAMES, rng.randrange(4))
            return {name: random_value(rng, depth - 1) for name in names}


def test_random_values_agree_with_the_official_package(compare_with_npm):
    rng = random.Random(SEED)
    values = [random_value(rng, 3) for _ in range(COUNT)]
    keys = [encode_sort_key(value) for value in values]
    answer = compare_with_npm([encode_json(value) for value in values])
    assert [encode_sort_key(decode_json(text)) for text in answer["encoded"]] == keys
    assert [value_size(value) for value in values] == answer["sizes"]
    assert [compare_values(a, b) for a, b in pairwise(values)] == answer["signs"]
    assert [keys[position] for position in answer["order"]] == sorted(keys)
