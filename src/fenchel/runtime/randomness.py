"""Randomness for every room, replaceable by a seeded source so that a failure can be replayed."""

from __future__ import annotations

import random
import secrets
from typing import Protocol

_POOL_BYTES = 4096


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
    """The operating system's cryptographic source, asked for some KiB at a time: a request takes
    four small pieces, and each question to the system costs several microseconds.

    Not for use in several threads. Invariant: no byte is handed out twice.
    """

    def __init__(self) -> None:
        self._pool = b""
        self._taken_bytes = 0

    def token_bytes(self, count: int) -> bytes:
        end = self._taken_bytes + count
        if end > len(self._pool):
            self._pool = secrets.token_bytes(max(count, _POOL_BYTES))
            end = count
        self._taken_bytes = end
        return self._pool[end - count : end]

    def uniform(self) -> float:
        return random.random()

    def uuid4(self) -> str:
        return encode_uuid4(self.token_bytes(16))


class SeededRandomness:
    """A reproducible source for tests and simulation; never for keys."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def uniform(self) -> float:
        return self._random.random()

    def uuid4(self) -> str:
        return encode_uuid4(self._random.randbytes(16))


def encode_uuid4(drawn: bytes) -> str:
    """The version 4 UUID of 16 random bytes (RFC 9562, 5.4)."""
    digits = drawn.hex()
    variant = "89ab"[drawn[8] >> 4 & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
