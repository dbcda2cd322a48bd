"""The seam to durable storage: a log of document revisions, index entries, and a few globals.

A persistence keeps every revision with its commit timestamp and knows nothing of transactions,
table names or schemas. Source: database specification 9.1 and 9.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fenchel.documents import Document, Interval
from fenchel.errors import ErrorKind, FenchelError

# Timestamp, tablet id, internal id: the primary key of the document log, and its order.
RevisionKey = tuple[int, bytes, bytes]


class NotStoredError(FenchelError):
    """The storage refused a batch and surely keeps nothing of it: try again later."""

    def __init__(
        self,
        reason: str,
        advice: str = "Look at the free space and the state of the disk, then try again.",
    ) -> None:
        super().__init__(
            ErrorKind.OVERLOADED,
            "DataNotStored",
            f"The data could not be stored ({reason}). Nothing was changed. {advice}",
        )


class DocumentRow(NamedTuple):
    """One revision in the log. `document` None is a tombstone; `prev_ts` is what it replaces."""

    ts: int
    tablet_id: bytes
    internal_id: bytes
    document: Document | None
    prev_ts: int | None


class IndexRow(NamedTuple):
    """From `ts` on, `key` leads to the revision of that timestamp, or to nothing if deleted."""

    index_id: bytes
    key: bytes
    ts: int
    is_deleted: bool
    tablet_id: bytes
    internal_id: bytes


class IndexRowKey(NamedTuple):
    """The primary key of an index row."""

    index_id: bytes
    key: bytes
    ts: int


class LogRow(NamedTuple):
    """A revision in the log with the content of the one it replaced, None if that is gone."""

    ts: int
    tablet_id: bytes
    internal_id: bytes
    document: Document | None
    prev_ts: int | None
    previous: Document | None

    @property
    def position(self) -> RevisionKey:
        return self.ts, self.tablet_id, self.internal_id


class LogPage(NamedTuple):
    """Revisions in log order. `has_more` False: nothing that was asked for lies behind the last."""

    rows: list[LogRow]
    has_more: bool


class SummaryRow(NamedTuple):
    """Number and total size of a table's live documents as of the newest commit that touched it."""

    tablet_id: bytes
    document_count: int
    size_bytes: int


class Revision(NamedTuple):
    """A live document found in an index: its key there and the timestamp of this revision."""

    key: bytes
    ts: int
    document: Document


class IndexPage(NamedTuple):
    """Revisions in scan order. `has_more` False: nothing of the interval lies behind the last."""

    revisions: list[Revision]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBatch:
    """What one durable write carries: the rows of one or more commits, in timestamp order.

    Retention fills `expired_documents` and `expired_index_rows`: rows to remove, stored or not.
    """

    documents: Sequence[DocumentRow] = ()
    index_rows: Sequence[IndexRow] = ()
    summaries: Sequence[SummaryRow] = ()
    global_values: Mapping[str, str] = field(default_factory=dict)
    expired_documents: Sequence[RevisionKey] = ()
    expired_index_rows: Sequence[IndexRowKey] = ()


class LeaseLostError(FenchelError):
    """Another server owns the data now. Nothing of the refused write is stored, or will be."""

    def __init__(self, place: str) -> None:
        super().__init__(
            ErrorKind.OPERATIONAL,
            "LeaseLost",
            f"Another server has taken over {place}, so this one stops. What it confirmed is "
            "stored, and nothing else. Run one server per database.",
        )


class Persistence(Protocol):
    """Durable multi-version storage with one writer.

    A read sees every write that has returned and may see one that has not; so callers read at
    timestamps that were published after their write returned.
    """

    def check_owned(self) -> None:
        """Asked before reading from memory. Raises: LeaseLostError if another server owns the data
        now; DatabaseUnreachable if it may, because the storage has not answered for some time."""
        ...

    async def wait_lost(self) -> None:
        """Return when another server owns the data; never, where that cannot happen."""
        ...

    async def write(self, batch: WriteBatch) -> None:
        """Make the whole batch durable, or nothing of it.

        Raises: NotStoredError and LeaseLostError, and then nothing is stored. Any other exception
        leaves the outcome unknown to the caller. Index rows that exist already (same index, key and
        timestamp) are overwritten, so that a backfill may repeat a page.
        """
        ...

    async def load_index_page(
        self, index_id: bytes, interval: Interval, *, ts: int, is_descending: bool, limit: int
    ) -> IndexPage:
        """Live documents of the interval at snapshot `ts`: at most `limit` and some MiB of them."""
        ...

    async def load_log_page(self, after: RevisionKey, *, through_ts: int, limit: int) -> LogPage:
        """Revisions and tombstones behind `after` with timestamps up to `through_ts`, in the order
        of (timestamp, tablet id, internal id): at most `limit` and some MiB of them."""
        ...

    async def was_deleted(self, tablet_id: bytes, internal_id: bytes) -> bool:
        """Whether the log has a deletion of that document."""
        ...

    async def load_index_rows(self, index_id: bytes, *, limit: int) -> list[IndexRow]:
        """The first rows of the index by key and timestamp: all versions, deletions too."""
        ...

    async def load_latest_ts(self) -> int:
        """The newest timestamp in the log; 0 if it is empty."""
        ...

    async def load_summaries(self) -> list[SummaryRow]:
        """The newest summary of every table."""
        ...

    async def load_globals(self) -> dict[str, str]:
        """All globals: JSON text by key."""
        ...

    async def close(self) -> None:
        """Finish the running write and release what is held; a second call does nothing."""
        ...
