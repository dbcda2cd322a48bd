"""From what a worker says to an outcome: every way of failing has its text here (execution 1.4,
4.3, 5.2).
"""

from __future__ import annotations

from typing import assert_never

from fenchel.errors import FenchelError, internal_error
from fenchel.isolate.execution import LossCause, WorkerLost
from fenchel.isolate.messages import Outcome, WorkerError, WorkerLogLine
from fenchel.udf import FunctionResult, JsError, JsFrame, LogLevel, LogLine, StopCause
from fenchel.values import canonical_json, decode_json

# The runtime's own part of the heap limit; the rest is the user's (execution 4.3).
_RUNTIME_HEAP_MEBIBYTES = 32
_MESSAGE_CHARACTERS_MAX = 65_536


def timeout_error(seconds_max: float) -> JsError:
    return JsError(
        message=f"Function execution timed out (maximum duration: {seconds_max:g}s)",
        stop=StopCause.USER_TIMEOUT,
    )


def memory_error(
    function: str | None, *, heap_mebibytes_max: int, request_bytes: int | None = None
) -> JsError:
    """`function`: whose memory it was; there is no stack to tell it. `request_bytes`: how much an
    HTTP action had read of its request.
    """
    user_mebibytes = heap_mebibytes_max - _RUNTIME_HEAP_MEBIBYTES
    stream = "" if request_bytes is None else f": request stream size was {request_bytes} bytes"
    return JsError(
        message="JavaScript execution ran out of memory "
        f"(maximum memory usage: {user_mebibytes} MB){stream}",
        frames=() if function is None else (JsFrame(text=f"at {function}"),),
        stop=StopCause.OUT_OF_MEMORY,
    )


def never_resolves_error() -> JsError:
    return JsError(message="Returned promise will never resolve", stop=StopCause.NEVER_RESOLVES)


def system_timeout_error() -> JsError:
    return JsError(
        message="Your request timed out performing too many system operations.",
        stop=StopCause.SYSTEM_TIMEOUT,
    )


def check_not_starved(outcome: Outcome) -> None:
    """What the clock stopped before it had its processor time runs again. Raises: WorkerLost."""
    if outcome.header.kind == "starved":
        raise WorkerLost("it got too little processor time", LossCause.STARVED)


def decode_result(
    outcome: Outcome,
    *,
    user_seconds_max: float,
    heap_mebibytes_max: int,
    function: str | None = None,
    request_bytes: int | None = None,
) -> str | JsError:
    """The text that the function (by its name) or an evaluator returned, or why there is none.

    Raises: FenchelError operational if the worker reports a failure of its own.
    """
    header = outcome.header
    match header.kind:
        case "success":
            return outcome.result.decode(errors="replace")
        case "error":
            assert header.error is not None
            return _decode_error(header.error)
        case "timeout":
            return timeout_error(user_seconds_max)
        case "memory":
            return memory_error(
                function, heap_mebibytes_max=heap_mebibytes_max, request_bytes=request_bytes
            )
        case "neverResolves":
            return never_resolves_error()
        case "system" | "starved" | "again":
            message = header.error.message if header.error else "no message"
            raise internal_error(f"isolate worker: {message}")
        case _:
            assert_never(header.kind)


def function_result(result: str | JsError) -> FunctionResult | JsError:
    return FunctionResult(result) if isinstance(result, str) else result


def _decode_error(error: WorkerError) -> JsError:
    message = error.message[:_MESSAGE_CHARACTERS_MAX]
    frames = tuple(JsFrame(text=text) for text in error.frames)
    if error.data_json is None:
        return JsError(message=message, frames=frames)
    try:
        data_json = canonical_json(decode_json(error.data_json), error.data_json)
    except FenchelError as invalid:
        message = f"ConvexError with invalid data: {invalid.message}"
        return JsError(message=message, frames=frames)
    return JsError(message=message, frames=frames, data_json=data_json)


def decode_log_line(line: WorkerLogLine) -> LogLine:
    return LogLine(
        level=LogLevel(line.level),
        messages=tuple(line.messages),
        timestamp_ms=line.timestamp_ms,
        is_truncated=line.is_truncated,
        system_code=line.system_code,
    )
