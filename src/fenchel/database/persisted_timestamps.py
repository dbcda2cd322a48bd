"""Timestamps among the globals of the persistence: names and form (database specification 9.3).

Only the value in the persistence counts: memory may lag behind it, never run ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fenchel.documents import Timestamp
from fenchel.values import decode_json, encode_json

# All later commits get larger timestamps than this one.
MAX_REPEATABLE_TS: Final = "max_repeatable_ts"
# Older snapshots, older revisions: nobody may ask for them any more.
MIN_SNAPSHOT_TS: Final = "min_snapshot_ts"
DOCUMENT_MIN_SNAPSHOT_TS: Final = "document_min_snapshot_ts"
# How far the deletion of what only those could see has come.
CONFIRMED_DELETED_TS: Final = "confirmed_deleted_ts"
DOCUMENT_CONFIRMED_DELETED_TS: Final = "document_confirmed_deleted_ts"


def encode_global_ts(ts: Timestamp) -> str:
    return encode_json(ts)


def decode_global_ts(global_values: Mapping[str, str], key: str) -> Timestamp:
    """Zero if it was never stored."""
    stored = decode_json(global_values.get(key, "null")) or 0
    assert isinstance(stored, int)
    return Timestamp(stored)
