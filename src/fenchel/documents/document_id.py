"""Document ids: table number and internal id in one lower-case text (database specification 1)."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple, NewType

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

# The standard library's alphabet has the same bit order; only the letters differ.
_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD = b"0123456789abcdefghjkmnpqrstvwxyz"
_TO_CROCKFORD = bytes.maketrans(_STANDARD, _CROCKFORD)
_TO_STANDARD = bytes.maketrans(_CROCKFORD, _STANDARD)


class DocumentId(NamedTuple):
    """`table_number` is unique among the active tables of a namespace, which is not named."""

    table_number: int
    internal_id: InternalId


def encode_document_id(table_number: int, internal_id: bytes) -> str:
    """The id text, 31 to 37 characters."""
    assert 0 < table_number <= TABLE_NUMBER_MAX
    assert len(internal_id) == INTERNAL_ID_BYTES
    body = _encode_vint(table_number) + internal_id
    data = body + (_fletcher16(body) ^ _VERSION).to_bytes(_FOOTER_BYTES, "little")
    return base64.b32encode(data).translate(_TO_CROCKFORD, b"=").decode("ascii")


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
    internal_id = InternalId(body[vint_bytes:])
    # Refuses filler bits that are not zero and table numbers in more bytes than they need.
    if encode_document_id(table_number, internal_id) != text:
        raise _invalid("ID is not in its canonical form")
    return DocumentId(table_number, internal_id)


def _decode_base32(text: str) -> bytes:
    if not _LENGTH_MIN <= len(text) <= _LENGTH_MAX:
        raise _invalid(f"Invalid ID length {len(text)}")
    if not text.isascii() or text.encode("ascii").translate(None, _CROCKFORD):
        raise _invalid("ID wasn't valid base32")
    standard = text.encode("ascii").translate(_TO_STANDARD)
    try:
        return base64.b32decode(standard + b"=" * (-len(standard) % 8))
    except binascii.Error as error:
        raise _invalid("ID wasn't valid base32") from error


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
            if number > TABLE_NUMBER_MAX:
                break
            return number, position + 1
    raise _invalid("Invalid table number")


def _fletcher16(data: bytes) -> int:
    """Modulo 256, not 255 as in the textbook (database specification 1.3)."""
    c0 = c1 = 0
    for byte in data:
        c0 += byte
        c1 += c0
    return (c1 & 0xFF) << 8 | c0 & 0xFF


def _invalid(reason: str) -> FenchelError:
    return bad_request("InvalidId", f"Unable to decode ID: {reason}")
