"""What one transaction has used of its limits (execution specification 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from fenchel.database.read_set import ReadSet
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime.settings import MEBIBYTE, TransactionLimits

_HELP = (
    "Consider using smaller limits in your queries, paginating your queries, or using indexed "
    "queries with a selective index range expressions."
)


@dataclass(slots=True, kw_only=True)
class TransactionUsage:
    """Counters of user tables only; system tables never count.

    All start at 0 and grow; a rolled-back subtransaction restores what was written and scheduled,
    not what was read. `limits` are tighter while a nested call runs that was given less.
    """

    limits: TransactionLimits
    reads: ReadSet = field(repr=False)
    documents_read: int = 0
    bytes_read: int = 0
    documents_written: int = 0
    bytes_written: int = 0
    functions_scheduled: int = 0
    scheduled_args_bytes: int = 0

    @property
    def intervals_read(self) -> int:
        """Merged intervals of user tables in the read set ("database queries")."""
        return self.reads.user_interval_count

    def record_read(self, documents: int, size_bytes: int) -> None:
        """Raises: TooManyDocumentsRead, TooManyBytesRead, TooManyReads."""
        self.documents_read += documents
        self.bytes_read += size_bytes
        limits = self.limits
        if self.documents_read > limits.documents_read_max:
            raise _too_many_read(
                "TooManyDocumentsRead", "documents read", f"{limits.documents_read_max}"
            )
        if self.bytes_read > limits.bytes_read_max:
            raise _too_many_read("TooManyBytesRead", "bytes read", f"{limits.bytes_read_max} bytes")
        if self.reads.user_interval_count > limits.intervals_read_max:
            raise _too_many_read("TooManyReads", "reads", f"{limits.intervals_read_max}")

    def record_write(self, size_bytes: int) -> None:
        """One more write call with a document of this size. Raises: TooManyWrites,
        TooManyBytesWritten."""
        self.documents_written += 1
        self.bytes_written += size_bytes
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


def _too_many_read(code: str, what: str, limit: str) -> FenchelError:
    return FenchelError(
        ErrorKind.PAGINATION_LIMIT,
        code,
        f"Too many {what} in a single function execution (limit: {limit}). {_HELP}",
    )
