"""What one transaction has used of its limits (execution specification 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from fenchel.database.read_set import ReadSet
from fenchel.documents import TabletId
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime.settings import MEBIBYTE, TransactionLimits

_HELP = (
    "Consider using smaller limits in your queries, paginating your queries, or using indexed "
    "queries with a selective index range expressions."
)


# (documents, bytes) by table.
TableCounts = dict[TabletId, tuple[int, int]]

_NOTHING = (0, 0)


class DocumentExtreme(NamedTuple):
    """The document that had most of something among those written, and how much."""

    id_text: str
    amount: int


_NO_DOCUMENT = DocumentExtreme("", 0)


class ReadCounts(msgspec.Struct, frozen=True):
    """What a transaction had read at some moment."""

    documents: int
    size_bytes: int
    by_table: TableCounts


class WriteCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction had written and scheduled at some moment."""

    documents: int
    size_bytes: int
    by_table: TableCounts
    functions_scheduled: int
    scheduled_args_bytes: int
    files: int
    file_bytes: int


@dataclass(slots=True, kw_only=True)
class TransactionUsage:
    """Counters of user tables, and of system tables as users see them; nothing else counts.

    All start at 0 and grow; a rolled-back subtransaction restores what was written and scheduled,
    not what was read. `limits` are tighter while a nested call runs that was given less.
    Invariant: the counts by table sum up to those of documents and their bytes.
    """

    limits: TransactionLimits
    reads: ReadSet = field(repr=False)
    documents_read: int = 0
    bytes_read: int = 0
    read_by_table: TableCounts = field(default_factory=dict)
    documents_written: int = 0
    bytes_written: int = 0
    written_by_table: TableCounts = field(default_factory=dict)
    functions_scheduled: int = 0
    scheduled_args_bytes: int = 0
    files_read: int = 0
    file_bytes_read: int = 0
    files_written: int = 0
    file_bytes_written: int = 0
    # For warnings: a rolled-back subtransaction does not restore these.
    largest_document: DocumentExtreme = _NO_DOCUMENT
    most_nested_document: DocumentExtreme = _NO_DOCUMENT

    @property
    def intervals_read(self) -> int:
        """Merged intervals of user tables in the read set ("database queries")."""
        return self.reads.user_interval_count

    def mark_reads(self) -> ReadCounts:
        """For `restore_reads`."""
        return ReadCounts(self.documents_read, self.bytes_read, self.read_by_table.copy())

    def restore_reads(self, mark: ReadCounts) -> None:
        """Forget what was read since; a mark is good for once."""
        self.documents_read, self.bytes_read = mark.documents, mark.size_bytes
        self.read_by_table = mark.by_table

    def mark_writes(self) -> WriteCounts:
        """For `restore_writes`."""
        return WriteCounts(
            documents=self.documents_written,
            size_bytes=self.bytes_written,
            by_table=self.written_by_table.copy(),
            functions_scheduled=self.functions_scheduled,
            scheduled_args_bytes=self.scheduled_args_bytes,
            files=self.files_written,
            file_bytes=self.file_bytes_written,
        )

    def restore_writes(self, mark: WriteCounts) -> None:
        """Forget what was written since; a mark is good for once."""
        self.documents_written, self.bytes_written = mark.documents, mark.size_bytes
        self.written_by_table = mark.by_table
        self.functions_scheduled = mark.functions_scheduled
        self.scheduled_args_bytes = mark.scheduled_args_bytes
        self.files_written, self.file_bytes_written = mark.files, mark.file_bytes

    def record_read(self, tablet_id: TabletId, documents: int, size_bytes: int) -> None:
        """Raises: TooManyDocumentsRead, TooManyBytesRead, TooManyReads."""
        if documents:
            self.documents_read += documents
            self.bytes_read += size_bytes
            count, total = self.read_by_table.get(tablet_id, _NOTHING)
            self.read_by_table[tablet_id] = count + documents, total + size_bytes
        limits = self.limits
        if self.documents_read > limits.documents_read_max:
            raise _too_many_read(
                "TooManyDocumentsRead", "documents read", f"{limits.documents_read_max}"
            )
        if self.bytes_read > limits.bytes_read_max:
            raise _too_many_read("TooManyBytesRead", "bytes read", f"{limits.bytes_read_max} bytes")
        if self.reads.user_interval_count > limits.intervals_read_max:
            raise _too_many_read("TooManyReads", "reads", f"{limits.intervals_read_max}")

    def record_extremes(self, id_text: str, size_bytes: int, nesting: int) -> None:
        """What a written document has of size, and of levels of arrays and objects."""
        if size_bytes > self.largest_document.amount:
            self.largest_document = DocumentExtreme(id_text, size_bytes)
        if nesting > self.most_nested_document.amount:
            self.most_nested_document = DocumentExtreme(id_text, nesting)

    def record_write(self, tablet_id: TabletId, size_bytes: int) -> None:
        """One more write call with a document of this size. Raises: TooManyWrites,
        TooManyBytesWritten."""
        self.documents_written += 1
        self.bytes_written += size_bytes
        count, total = self.written_by_table.get(tablet_id, _NOTHING)
        self.written_by_table[tablet_id] = count + 1, total + size_bytes
        limits = self.limits
        if self.documents_written > limits.documents_written_max:
            raise bad_request(
                "TooManyWrites",
                "Too many writes in a single function execution "
                f"(limit: {limits.documents_written_max})",
            )
        if self.bytes_written > limits.bytes_written_max:
            raise bad_request(
                "TooManyBytesWritten",
                "Too many bytes written in a single function execution "
                f"(limit: {limits.bytes_written_max // MEBIBYTE} MiB)",
            )

    def record_scheduled(self, args_bytes: int) -> None:
        """One more scheduled function. Raises: TooManyFunctionsScheduled,
        ScheduledFunctionsArgumentsTooLarge."""
        self.functions_scheduled += 1
        self.scheduled_args_bytes += args_bytes
        limits = self.limits
        if self.functions_scheduled > limits.functions_scheduled_max:
            raise bad_request(
                "TooManyFunctionsScheduled",
                "Too many functions scheduled by this mutation "
                f"(limit: {limits.functions_scheduled_max})",
            )
        if self.scheduled_args_bytes > limits.scheduled_args_bytes_max:
            raise bad_request(
                "ScheduledFunctionsArgumentsTooLarge",
                "Too large total size of the arguments of scheduled functions from this mutation "
                f"(limit: {limits.scheduled_args_bytes_max} bytes)",
            )

    def record_file_read(self, size_bytes: int) -> None:
        """One more file whose bytes the function gets. Raises: TooManyFilesRead,
        TooManyFileBytesRead."""
        self.files_read += 1
        self.file_bytes_read += size_bytes
        limits = self.limits
        _check_files("Read", self.files_read, limits.files_read_max)
        _check_file_bytes("Read", self.file_bytes_read, limits.file_bytes_read_max)

    def record_file_write(self, size_bytes: int) -> None:
        """One more file that the function stores. Raises: TooManyFilesWritten,
        TooManyFileBytesWritten."""
        self.files_written += 1
        self.file_bytes_written += size_bytes
        limits = self.limits
        _check_files("Written", self.files_written, limits.files_written_max)
        _check_file_bytes("Written", self.file_bytes_written, limits.file_bytes_written_max)


def _check_files(verb: str, count: int, count_max: int) -> None:
    if count > count_max:
        raise bad_request(
            f"TooManyFiles{verb}",
            f"Too many files {verb.lower()} in a single function execution (limit: {count_max}). "
            "Actions have no such limit.",
        )


def _check_file_bytes(verb: str, size_bytes: int, bytes_max: int) -> None:
    if size_bytes > bytes_max:
        raise bad_request(
            f"TooManyFileBytes{verb}",
            f"Too many bytes of files {verb.lower()} in a single function execution "
            f"(limit: {bytes_max} bytes). Use an action, which reads and stores files of any size.",
        )


def _too_many_read(code: str, what: str, limit: str) -> FenchelError:
    return FenchelError(
        ErrorKind.PAGINATION_LIMIT,
        code,
        f"Too many {what} in a single function execution (limit: {limit}). {_HELP}",
    )
