"""The table of client-protocol 3.15, and what authentication makes of it (3.12)."""

from __future__ import annotations

import pytest

from fenchel.errors import ErrorKind, FenchelError
from fenchel.sync.closing import REASON_BYTES_MAX, auth_update_failed, ending_for
from fenchel.sync.protocol import AuthError, FatalError


def error(kind: ErrorKind, code: str = "SomeCode") -> FenchelError:
    return FenchelError(kind, code, "some text")


@pytest.mark.parametrize(
    ("kind", "is_update"),
    [(ErrorKind.AUTH_UPDATE_FAILED, True), (ErrorKind.UNAUTHENTICATED, False)],
)
def test_authentication_failures_tell_the_version_and_close_without_a_code(
    kind: ErrorKind, is_update: bool
) -> None:
    ending = ending_for(error(kind), identity_version=3)
    assert ending.message == AuthError(
        error="some text", base_version=3, auth_update_attempted=is_update
    )
    assert ending.code is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.BAD_REQUEST, None),
        (ErrorKind.CONFLICT, None),
        (ErrorKind.FORBIDDEN, 1000),
        (ErrorKind.PAGINATION_LIMIT, 1000),
    ],
)
def test_protocol_violations_are_fatal(kind: ErrorKind, code: int | None) -> None:
    ending = ending_for(error(kind), identity_version=0)
    assert ending.message == FatalError(error="some text")
    assert ending.code == code


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.NOT_FOUND, 1000),
        (ErrorKind.CLIENT_DISCONNECT, 1000),
        (ErrorKind.RATE_LIMITED, 1013),
        (ErrorKind.OCC, 1013),
        (ErrorKind.OUT_OF_RETENTION, 1013),
        (ErrorKind.OVERLOADED, 1013),
        (ErrorKind.FEATURE_UNAVAILABLE, 1013),
        (ErrorKind.REJECTED_BEFORE_EXECUTION, 1013),
    ],
)
def test_failures_that_a_retry_may_heal_only_close(kind: ErrorKind, code: int) -> None:
    ending = ending_for(error(kind), identity_version=0)
    assert (ending.message, ending.code, ending.reason) == (None, code, "SomeCode")


def test_an_internal_error_tells_nothing() -> None:
    ending = ending_for(error(ErrorKind.OPERATIONAL, "Secret"), identity_version=0)
    assert (ending.message, ending.code, ending.reason) == (None, 1011, "InternalServerError")


def test_every_kind_has_an_ending_with_a_short_reason() -> None:
    for kind in ErrorKind:
        ending = ending_for(error(kind, "x" * 500), identity_version=0)
        assert len(ending.reason.encode()) <= REASON_BYTES_MAX


@pytest.mark.parametrize(
    "kind", [ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN, ErrorKind.BAD_REQUEST]
)
def test_a_refused_token_fails_the_update(kind: ErrorKind) -> None:
    assert auth_update_failed(error(kind)).kind is ErrorKind.AUTH_UPDATE_FAILED


def test_an_unreachable_provider_is_not_the_fault_of_the_token() -> None:
    unreachable = error(ErrorKind.OVERLOADED)
    assert auth_update_failed(unreachable) is unreachable
