"""What a page of a paginated query is asked for and what it gives: plain values, no sealing, no
I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from fenchel.documents import Document
from fenchel.errors import ErrorKind, FenchelError

_FINGERPRINT_BYTES = hashlib.sha256().digest_size
_AFTER = b"\x01"
_END = b"\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in one query: after the index key `after_key`, or the end of the query if it is None.

    `fingerprint` is sha256 over the query and its index fields; a cursor only fits its own query.
    """

    after_key: bytes | None
    fingerprint: bytes

    @property
    def is_end(self) -> bool:
        return self.after_key is None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Arguments of `1.0/queryPage` (execution specification 2.7) with opened cursors.

    `query` is the parsed query AST of section 2.6. `max_rows` and `max_bytes` bound what is
    scanned. `previous_journal_end` is the end cursor that an earlier run of the same query
    recorded.
    """

    query: Any
    cursor: Cursor | None = None
    end_cursor: Cursor | None = None
    page_size: int
    max_rows: int | None = None
    max_bytes: int | None = None
    previous_journal_end: Cursor | None = None


class PageStatus(Enum):
    SPLIT_RECOMMENDED = "SplitRecommended"
    SPLIT_REQUIRED = "SplitRequired"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """One page. `continue_cursor` is also the journal's end cursor of this execution."""

    page: list[Document]
    is_done: bool
    continue_cursor: Cursor
    split_cursor: Cursor | None
    page_status: PageStatus | None


def encode_cursor(cursor: Cursor) -> bytes:
    """The bytes that the caller seals before they leave the host; `decode_cursor` reads them
    back."""
    if cursor.after_key is None:
        return cursor.fingerprint + _END
    return cursor.fingerprint + _AFTER + cursor.after_key


def decode_cursor(plain: bytes) -> Cursor:
    """The cursor in `plain`. Raises InvalidCursor, a developer error that clients reset on."""
    fingerprint, kind = plain[:_FINGERPRINT_BYTES], plain[_FINGERPRINT_BYTES:][:1]
    after_key = plain[_FINGERPRINT_BYTES + 1 :]
    if kind == _END and not after_key:
        return Cursor(after_key=None, fingerprint=fingerprint)
    if kind == _AFTER:
        return Cursor(after_key=after_key, fingerprint=fingerprint)
    raise invalid_cursor("Failed to parse cursor")


def invalid_cursor(message: str) -> FenchelError:
    """The error that makes official clients start the pagination again (execution specification
    2.7)."""
    data = {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
    return FenchelError(
        ErrorKind.BAD_REQUEST,
        "InvalidCursor",
        f"InvalidCursor: {message}",
        data_json=msgspec.json.encode(data).decode(),
    )
