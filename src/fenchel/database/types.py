"""Words shared by the whole room."""

from __future__ import annotations

from typing import Final, NamedTuple

from fenchel.documents import Document, Interval, Timestamp

# The component that owns a set of tables, by component id; the app itself is the empty text.
Namespace = str
ROOT: Final[Namespace] = ""

BY_ID: Final = "by_id"
BY_CREATION_TIME: Final = "by_creation_time"


class StoredDocument(NamedTuple):
    """A committed document and the timestamp of its newest revision in a snapshot."""

    ts: Timestamp
    document: Document


def rest_after(interval: Interval, key: bytes, is_descending: bool) -> Interval:
    """What a scan of the interval has still before it when it has passed `key`."""
    if is_descending:
        return Interval(interval.start, key)
    return Interval(key + b"\x00", interval.end)


def passed_until(interval: Interval, key: bytes, is_descending: bool) -> Interval:
    """What a scan of the interval has seen when it has passed `key`, which is included."""
    if is_descending:
        return Interval(key, interval.end)
    return Interval(interval.start, key + b"\x00")
