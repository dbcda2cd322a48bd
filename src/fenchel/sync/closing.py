"""How a connection ends: the one table from kinds of errors to last message and close frame.

Pure. Source: client-protocol 3.15 and, for authentication, 3.12.
"""

from __future__ import annotations

from dataclasses import dataclass

from fenchel.errors import ErrorKind, FenchelError
from fenchel.sync.protocol import AuthError, FatalError, ServerMessage

REASON_BYTES_MAX = 123


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`code` None means a close frame without a code, which the client sees as 1005."""

    message: ServerMessage | None
    code: int | None
    reason: str = ""


# The client shall connect again at once, to another process or to the next one.
SHUTDOWN = Ending(message=None, code=1001, reason="ServerShutdown")


def auth_update_failed(error: FenchelError) -> FenchelError:
    """The same error as the failure of an Authenticate message, if the token is to blame.

    An unreachable provider is not the token's fault: it stays what it is and closes with a
    retryable code.
    """
    blames_token = error.kind in {
        ErrorKind.UNAUTHENTICATED,
        ErrorKind.FORBIDDEN,
        ErrorKind.BAD_REQUEST,
    }
    if not blames_token:
        return error
    return FenchelError(ErrorKind.AUTH_UPDATE_FAILED, error.code, error.message)


def ending_for(error: FenchelError, *, identity_version: int) -> Ending:
    """What the client gets for `error`. `identity_version` is that of the last Transition sent."""
    match error.kind:
        case ErrorKind.AUTH_UPDATE_FAILED | ErrorKind.UNAUTHENTICATED:
            message = AuthError(
                error=error.message,
                base_version=identity_version,
                auth_update_attempted=error.kind is ErrorKind.AUTH_UPDATE_FAILED,
            )
            return Ending(message=message, code=None)
        case ErrorKind.BAD_REQUEST | ErrorKind.CONFLICT:
            return Ending(message=FatalError(error=error.message), code=None)
        case ErrorKind.FORBIDDEN | ErrorKind.PAGINATION_LIMIT:
            return Ending(
                message=FatalError(error=error.message), code=1000, reason=_reason(error.code)
            )
        case ErrorKind.NOT_FOUND | ErrorKind.CLIENT_DISCONNECT:
            return Ending(message=None, code=1000, reason=_reason(error.code))
        case ErrorKind.OPERATIONAL:
            return Ending(message=None, code=1011, reason="InternalServerError")
        case (
            ErrorKind.RATE_LIMITED
            | ErrorKind.OCC
            | ErrorKind.OUT_OF_RETENTION
            | ErrorKind.OVERLOADED
            | ErrorKind.FEATURE_UNAVAILABLE
            | ErrorKind.REJECTED_BEFORE_EXECUTION
            | ErrorKind.MISDIRECTED_REQUEST
            | ErrorKind.TOO_EARLY
        ):
            return Ending(message=None, code=1013, reason=_reason(error.code))


def _reason(code: str) -> str:
    return code.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
