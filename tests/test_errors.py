"""The one error shape."""

import pytest

from fenchel.errors import (
    ConflictError,
    ConflictSource,
    ErrorKind,
    FenchelError,
    bad_request,
    internal_error,
    overloaded,
    rejected_before_execution,
)


def test_an_error_shows_its_code_and_message():
    error = FenchelError(ErrorKind.NOT_FOUND, "ExportNotFound", "no such export", data_json="{}")
    assert str(error) == "ExportNotFound: no such export"
    assert (error.kind, error.code, error.message, error.data_json) == (
        ErrorKind.NOT_FOUND,
        "ExportNotFound",
        "no such export",
        "{}",
    )


@pytest.mark.parametrize(
    ("error", "kind", "is_developer_error"),
    [
        (bad_request("C", "m"), ErrorKind.BAD_REQUEST, True),
        (overloaded("C", "m"), ErrorKind.OVERLOADED, False),
        (rejected_before_execution("C", "m"), ErrorKind.REJECTED_BEFORE_EXECUTION, False),
        (internal_error("m"), ErrorKind.OPERATIONAL, False),
        (FenchelError(ErrorKind.UNAUTHENTICATED, "C", "m"), ErrorKind.UNAUTHENTICATED, True),
        (FenchelError(ErrorKind.OUT_OF_RETENTION, "C", "m"), ErrorKind.OUT_OF_RETENTION, False),
    ],
)
def test_the_kind_says_who_must_act(error, kind, is_developer_error):
    assert error.kind is kind
    assert error.is_developer_error is is_developer_error


def conflict(**changes):
    parts = {
        "table_name": "messages",
        "document_id": "id",
        "write_ts": 7,
        "write_source": "messages:send",
        "is_system_table": False,
    }
    return ConflictError(ConflictSource(**{**parts, **changes}))


def test_a_conflict_names_the_table_and_the_writer():
    error = conflict()
    assert (error.kind, error.code) == (ErrorKind.OCC, "OptimisticConcurrencyControlFailure")
    assert not error.is_developer_error
    assert error.source.write_ts == 7
    assert 'the "messages" table changed' in error.message
    assert 'A call to "messages:send" changed the document with ID "id". See ' in error.message
    assert "call to" not in conflict(write_source=None).message
    assert "call to" not in conflict(document_id=None).message


def test_a_conflict_with_the_same_function_says_so():
    message = conflict(is_own_function=True).message
    assert 'Another call to this mutation changed the document with ID "id". See ' in message


def test_a_conflict_in_a_system_table_does_not_name_it():
    message = conflict(is_system_table=True).message
    assert "messages" not in message
    assert "Consider reducing the amount of data read" in message
