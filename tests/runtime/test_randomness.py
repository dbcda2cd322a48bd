"""Randomness, true and seeded."""

import uuid

import pytest

from fenchel.runtime import SystemRandomness
from fenchel.runtime.randomness import SeededRandomness


@pytest.fixture(params=[SystemRandomness, lambda: SeededRandomness(1)], ids=["system", "seeded"])
def randomness(request):
    return request.param()


class TestRandomness:
    """What every source promises."""

    def test_bytes_of_the_asked_length(self, randomness):
        assert len(randomness.token_bytes(16)) == 16
        assert randomness.token_bytes(16) != randomness.token_bytes(16)

    def test_floats_below_one(self, randomness):
        assert all(0 <= randomness.uniform() < 1 for _ in range(100))

    def test_uuids(self, randomness):
        text = randomness.uuid4()
        assert str(uuid.UUID(text)) == text
        assert uuid.UUID(text).version == 4
        assert randomness.uuid4() != text


def test_a_seed_replays():
    def draw(seed):
        source = SeededRandomness(seed)
        return source.token_bytes(8), source.uniform(), source.uuid4()

    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
