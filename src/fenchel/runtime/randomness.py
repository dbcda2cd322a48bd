"""Randomness for every room, replaceable by a seeded source so that a failure can be replayed."""

from __future__ import annotations

import random
import secrets
import uuid
from typing import Protocol


class Randomness(Protocol):
    def token_bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes, fit for ids, seeds and keys."""
        ...

    def uniform(self) -> float:
        """A float in [0, 1), for jitter."""
        ...

    def uuid4(self) -> str:
        """A version 4 UUID in its canonical text form."""
        ...


class SystemRandomness:
    """The operating system's cryptographic source."""

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def uniform(self) -> float:
        return random.random()

    def uuid4(self) -> str:
        return str(uuid.uuid4())


class SeededRandomness:
    """A reproducible source for tests and simulation; never for keys."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def uniform(self) -> float:
        return self._random.random()

    def uuid4(self) -> str:
        return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))
