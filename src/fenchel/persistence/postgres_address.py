"""Where a Postgres database is, and what its driver's errors mean."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]  # ships no types

from fenchel.errors import ErrorKind, FenchelError, bad_request

_CONNECT_SECONDS_MAX: Final = 10.0

# Errors of the connection, not of the statement: worth another try on another connection.
LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
# The server rolled back and says why; it does not fail in this way once it has begun to commit.
REFUSED: Final = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
DRIVER_ERRORS: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class PostgresAddress:
    """A database by its URL. As text it shows host and database, never the password."""

    def __init__(self, url: str) -> None:
        """Raises: InvalidDatabaseUrl."""
        parts = urlsplit(url)
        # An @ behind the host belongs to a password, whose beginning would be taken for the host.
        is_ambiguous = "@" in parts.path + parts.query + parts.fragment
        if parts.scheme not in ("postgres", "postgresql") or is_ambiguous:
            raise _invalid_url()
        self._url = url
        self._host = parts.netloc.rpartition("@")[2] or "the local socket"
        self._database = parts.path.removeprefix("/")

    def __str__(self) -> str:
        return f"the Postgres database {self._database!r} at {self._host}"

    async def connect(self, settings: dict[str, str]) -> Any:
        """A new connection. Raises: InvalidDatabaseUrl, the driver's errors."""
        try:
            return await asyncpg.connect(
                self._url, timeout=_CONNECT_SECONDS_MAX, server_settings=settings
            )
        except ValueError as error:
            raise _invalid_url() from error

    def error(self, error: Exception) -> FenchelError:
        """What the driver reports, as something that whoever runs the server can act on."""
        match error:
            case asyncpg.InvalidAuthorizationSpecificationError():
                code, advice = "DatabaseLoginRefused", "Check user and password in the URL."
            case asyncpg.InvalidCatalogNameError():
                code, advice = "DatabaseMissing", "Create it, or correct the URL."
            case asyncpg.InsufficientPrivilegeError() | asyncpg.ReadOnlySQLTransactionError():
                code, advice = "DatabaseNotWritable", "The user must be allowed to create schemas."
            case _:
                code, advice = "DatabaseUnreachable", "Check that the server runs, and the URL."
        reason = str(error) or "no answer in time"
        return FenchelError(
            ErrorKind.OPERATIONAL, code, f"Cannot use {self}: {reason.rstrip('.')}. {advice}"
        )


def _invalid_url() -> FenchelError:
    return bad_request(
        "InvalidDatabaseUrl",
        "The database URL must have the form postgres://user:password@host:port/database, with "
        "characters such as @ / ? # in user and password written as %40 %2F %3F %23.",
    )
