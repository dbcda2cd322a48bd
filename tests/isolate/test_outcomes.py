"""From what a worker says to what callers see (execution 1.4, 4.3, 5.2)."""

from __future__ import annotations

import pytest

from fenchel.errors import FenchelError
from fenchel.isolate.messages import Outcome, OutcomeHeader, WorkerError
from fenchel.isolate.outcomes import decode_result
from fenchel.udf import JsError, StopCause


def decode(header: OutcomeHeader, result: bytes = b"") -> str | JsError:
    return decode_result(Outcome(header, result), user_seconds_max=1.0, heap_mebibytes_max=96)


def decode_error(error: WorkerError) -> JsError:
    result = decode(OutcomeHeader(kind="error", error=error))
    assert isinstance(result, JsError)
    return result


def test_success_is_the_text_that_was_returned() -> None:
    assert decode(OutcomeHeader(kind="success"), b'{"a":1.0}') == '{"a":1.0}'


@pytest.mark.parametrize(
    ("kind", "message", "stop"),
    [
        (
            "timeout",
            "Function execution timed out (maximum duration: 1s)",
            StopCause.USER_TIMEOUT,
        ),
        (
            "memory",
            "JavaScript execution ran out of memory (maximum memory usage: 64 MB)",
            StopCause.OUT_OF_MEMORY,
        ),
        ("neverResolves", "Returned promise will never resolve", StopCause.NEVER_RESOLVES),
    ],
)
def test_each_way_to_fail_has_its_text_and_cause(kind: str, message: str, stop: StopCause) -> None:
    error = JsError(message=message, stop=stop)
    assert decode(OutcomeHeader(kind=kind)) == error  # type: ignore[arg-type]


def test_an_http_action_says_how_much_it_had_read() -> None:
    outcome = Outcome(OutcomeHeader(kind="memory"), b"")
    error = decode_result(
        outcome, user_seconds_max=1.0, heap_mebibytes_max=96, function="http", request_bytes=5
    )
    assert isinstance(error, JsError)
    assert error.message == (
        "JavaScript execution ran out of memory (maximum memory usage: 64 MB)"
        ": request stream size was 5 bytes"
    )


def test_an_error_has_its_frames_and_its_data_in_canonical_form() -> None:
    error = decode_error(
        WorkerError(message="Uncaught x", frames=["at f (a.ts:1:1)"], data_json='{"b":1, "a":2}')
    )
    assert [frame.text for frame in error.frames] == ["at f (a.ts:1:1)"]
    assert error.data_json == '{"a":2.0,"b":1.0}'


def test_data_that_is_no_value_is_said_and_dropped() -> None:
    error = decode_error(WorkerError(message="Uncaught x", data_json='{"$bad":1}'))
    assert error.message.startswith("ConvexError with invalid data: ")
    assert error.data_json is None


def test_a_long_message_is_cut() -> None:
    assert len(decode_error(WorkerError(message="x" * 100_000)).message) == 65_536


def test_a_failure_of_the_worker_itself_is_ours() -> None:
    with pytest.raises(FenchelError) as caught:
        decode(OutcomeHeader(kind="system"))
    assert not caught.value.is_developer_error
