"""Document ids: table number and internal id in one lower-case text (database specification 1)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, NewType
from zlib import adler32

from fenchel.errors import FenchelError, bad_request

# 16 bytes each. A tablet is a physical table: the internal id of its `_tables` row.
InternalId = NewType("InternalId", bytes)
TabletId = NewType("TabletId", bytes)
IndexId = NewType("IndexId", bytes)

INTERNAL_ID_BYTES = 16
TABLE_NUMBER_MAX = (1 << 32) - 1
_FOOTER_BYTES = 2
_VERSION = 0
_LENGTH_MIN, _LENGTH_MAX = 31, 37

# Texts and parts of ids that were met lately: some 200 bytes each. One id is encoded or decoded
# several times on its way, and a busy application gets the same documents again and again.
_REMEMBERED_COUNT = 1 << 14

_CROCKFORD = b"0123456789abcdefghjkmnpqrstvwxyz"
# `b32encode` and `int(…, 32)` take the bits in the same order; only their letters differ.
_FROM_RFC_4648 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _CROCKFORD)
_TO_DIGITS = bytes.maketrans(_CROCKFORD, b"0123456789abcdefghijklmnopqrstuv")
# From five bits to their letter.
_LETTERS = _CROCKFORD + bytes(256 - len(_CROCKFORD))

# Ids of the table numbers from 128 to 16,383, hence of nearly all tables, have 32 letters.
_USUAL_BYTES = 20


def _spreading_steps() -> Iterator[tuple[int, int, int]]:
    """How to move the 32 groups of five bits of a number each into a byte of its own: five times
    the upper half of each part moves to the left, (distance, upper halves, lower halves)."""
    for level in range(5):
        part_bits, space_bits = 160 >> level, 256 >> level
        lower = sum(((1 << part_bits // 2) - 1) << space_bits * part for part in range(1 << level))
        yield (space_bits - part_bits) // 2, lower << part_bits // 2, lower


_SPREADING_STEPS = tuple(_spreading_steps())


class DocumentId(NamedTuple):
    """`table_number` is unique among the active tables of a namespace, which is not named."""

    table_number: int
    internal_id: InternalId


@lru_cache(maxsize=_REMEMBERED_COUNT)
def encode_document_id(table_number: int, internal_id: bytes) -> str:
    """The id text, 31 to 37 characters."""
    assert 0 < table_number <= TABLE_NUMBER_MAX
    assert len(internal_id) == INTERNAL_ID_BYTES
    body = _encode_vint(table_number) + internal_id
    data = body + (_fletcher16(body) ^ _VERSION).to_bytes(_FOOTER_BYTES, "little")
    if len(data) == _USUAL_BYTES:
        return _encode_usual_base32(data)
    return base64.b32encode(data).translate(_FROM_RFC_4648, b"=").decode("ascii")


@lru_cache(maxsize=_REMEMBERED_COUNT)
def decode_document_id(text: str) -> DocumentId:
    """The parts of an id text. Raises: InvalidId with the reason (database specification 1.6)."""
    data = _decode_base32(text)
    table_number, vint_bytes = _decode_vint(data)
    if table_number == 0:
        raise _invalid("Invalid table number")
    if len(data) != vint_bytes + INTERNAL_ID_BYTES + _FOOTER_BYTES:
        raise _invalid(f"Invalid ID length {len(text)}")
    body, footer = data[:-_FOOTER_BYTES], data[-_FOOTER_BYTES:]
    found, computed = int.from_bytes(footer, "little"), _fletcher16(body) ^ _VERSION
    if found != computed:
        raise _invalid(f"Invalid ID version {found} (expected {computed})")
    return DocumentId(table_number, InternalId(body[vint_bytes:]))


def _encode_usual_base32(data: bytes) -> str:
    """As `b32encode`, in a third of its time: 32 letters at once."""
    bits = int.from_bytes(data, "big")
    for distance, upper, lower in _SPREADING_STEPS:
        bits = (bits & upper) << distance | bits & lower
    return bits.to_bytes(32, "big").translate(_LETTERS).decode("ascii")


def _decode_base32(text: str) -> bytes:
    if not _LENGTH_MIN <= len(text) <= _LENGTH_MAX:
        raise _invalid(f"Invalid ID length {len(text)}")
    letters = text.encode(errors="replace")
    if not text.isascii() or letters.translate(None, _CROCKFORD):
        raise _invalid("ID wasn't valid base32")
    byte_count, filler_bits = divmod(5 * len(letters), 8)
    number = int(letters.translate(_TO_DIGITS), 32)
    # The last letter fills up with zeros, and carries at least one bit.
    if filler_bits >= 5 or number & ((1 << filler_bits) - 1):
        raise _invalid("ID wasn't valid base32")
    return (number >> filler_bits).to_bytes(byte_count, "big")


@lru_cache(maxsize=_REMEMBERED_COUNT)
def _encode_vint(number: int) -> bytes:
    """Unsigned LEB128: seven bits a byte, lowest first, the high bit says that more follow."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _decode_vint(data: bytes) -> tuple[int, int]:
    """The number and how many bytes it took."""
    number = 0
    for position, byte in enumerate(data[:5]):
        number |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            is_minimal = byte != 0 or position == 0
            if number > TABLE_NUMBER_MAX or not is_minimal:
                break
            return number, position + 1
    raise _invalid("Invalid table number")


def _fletcher16(data: bytes) -> int:
    """Modulo 256, not 255 as in the textbook (database specification 1.3).

    Of so few bytes both sums stay below the modulus of Adler-32, which has them with one added to
    the first, and so the number of bytes to the second.
    """
    sums = adler32(data)
    return ((sums >> 16) - len(data) & 0xFF) << 8 | (sums - 1 & 0xFF)


def _invalid(reason: str) -> FenchelError:
    return bad_request("InvalidId", f"Unable to decode ID: {reason}")
