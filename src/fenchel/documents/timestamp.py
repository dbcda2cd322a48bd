"""Commit timestamps: nanoseconds since the Unix epoch (client-protocol specification 3.3)."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import NewType

from fenchel.errors import bad_request

Timestamp = NewType("Timestamp", int)


@lru_cache(maxsize=256)
def encode_timestamp(ts: Timestamp) -> str:
    """Base64 of 8 bytes, unsigned little-endian, as the sync protocol carries it.

    One commit's is told to many clients.
    """
    return b2a_base64(ts.to_bytes(8, "little"), newline=False).decode("ascii")


def decode_timestamp(text: str) -> Timestamp:
    """Raises: InvalidTimestamp."""
    try:
        data = a2b_base64(text.encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeError) as error:
        raise bad_request("InvalidTimestamp", f"{text!r} is not base64") from error
    if len(data) != 8:
        raise bad_request("InvalidTimestamp", f"{text!r} holds {len(data)} bytes, expected 8")
    return Timestamp(int.from_bytes(data, "little"))
