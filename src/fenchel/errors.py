"""The one error shape of the system: kind, code, message.

Every room may raise `FenchelError`. The kind says whose fault it is and whether a retry helps;
outer protocols map kinds to HTTP statuses and close codes in their own tables. Any other exception
is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ErrorKind(Enum):
    """Who must act, and how (classes of the reference, execution specification 5.1)."""

    BAD_REQUEST = "BadRequest"
    CONFLICT = "Conflict"
    PAGINATION_LIMIT = "PaginationLimit"
    UNAUTHENTICATED = "Unauthenticated"
    AUTH_UPDATE_FAILED = "AuthUpdateFailed"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    CLIENT_DISCONNECT = "ClientDisconnect"
    RATE_LIMITED = "RateLimited"
    OPERATIONAL = "OperationalInternalServerError"
    OCC = "OCC"
    OUT_OF_RETENTION = "OutOfRetention"
    OVERLOADED = "Overloaded"
    FEATURE_UNAVAILABLE = "FeatureTemporarilyUnavailable"
    REJECTED_BEFORE_EXECUTION = "RejectedBeforeExecution"
    MISDIRECTED_REQUEST = "MisdirectedRequest"
    TOO_EARLY = "TooEarly"


_DEVELOPER_KINDS = frozenset(
    {
        ErrorKind.BAD_REQUEST,
        ErrorKind.CONFLICT,
        ErrorKind.PAGINATION_LIMIT,
        ErrorKind.UNAUTHENTICATED,
        ErrorKind.AUTH_UPDATE_FAILED,
        ErrorKind.FORBIDDEN,
    }
)


class FenchelError(Exception):
    """An error with a meaning outside: `code` is the stable short name, `message` says what to do.

    `data_json` carries the Value JSON of a ConvexError-like payload that user code may catch.
    """

    def __init__(
        self, kind: ErrorKind, code: str, message: str, *, data_json: str | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.kind = kind
        self.code = code
        self.message = message
        self.data_json = data_json

    @property
    def is_developer_error(self) -> bool:
        """True if the deployed code or the request is wrong: user code may catch it, a retry is
        useless.
        """
        return self.kind in _DEVELOPER_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictSource:
    """The commit that invalidated a transaction: what it wrote, when, and which function did it.

    `is_own_function`: another call to the very function whose transaction was invalidated.
    """

    table_name: str
    document_id: str | None
    write_ts: int
    write_source: str | None
    is_system_table: bool
    is_own_function: bool = False

    @property
    def sentence(self) -> str:
        """Who changed what, as far as it is known; ends with a space then."""
        if self.write_source is None or self.document_id is None:
            return ""
        call = "Another call to this mutation"
        if not self.is_own_function:
            call = f'A call to "{self.write_source}"'
        return f'{call} changed the document with ID "{self.document_id}". '


class ConflictError(FenchelError):
    """The transaction read what a later commit changed. Retry at a snapshot >= `write_ts`."""

    def __init__(self, source: ConflictSource) -> None:
        if source.is_system_table:
            message = (
                "Data read or written in this mutation changed while it was being run. "
                "Consider reducing the amount of data read by it. See https://docs.convex.dev/error#1"
            )
        else:
            message = (
                f'Documents read from or written to the "{source.table_name}" table changed while '
                "this mutation was being run and on every subsequent retry. "
                f"{source.sentence}See https://docs.convex.dev/error#1"
            )
        super().__init__(ErrorKind.OCC, "OptimisticConcurrencyControlFailure", message)
        self.source = source


def bad_request(code: str, message: str) -> FenchelError:
    """The caller or the deployed function did something invalid; maps to HTTP 400."""
    return FenchelError(ErrorKind.BAD_REQUEST, code, message)


def overloaded(code: str, message: str) -> FenchelError:
    """Nothing was started or kept; the caller may try again later. Maps to HTTP 503."""
    return FenchelError(ErrorKind.OVERLOADED, code, message)


def rejected_before_execution(code: str, message: str) -> FenchelError:
    """The request never started, so a retry is safe for every kind of function. HTTP 503."""
    return FenchelError(ErrorKind.REJECTED_BEFORE_EXECUTION, code, message)


def internal_error(message: str) -> FenchelError:
    """A failure of ours, with details for the log only; outside it is an opaque internal error."""
    return FenchelError(ErrorKind.OPERATIONAL, "InternalServerError", message)
