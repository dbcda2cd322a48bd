"""Warnings for executions that came close to a limit (execution 3.7). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

from fenchel.database import TransactionUsage
from fenchel.documents import DOCUMENT_BYTES_MAX, DOCUMENT_NESTING_MAX
from fenchel.function_runner.validation import value_bytes_if_large
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import FunctionResult, JsError, LogLevel, LogLine, UdfType

# A limit is close when more than this share of it is used; of the intervals, 3,072 of 4,096.
_WARNING_RATIO = 0.8
_INTERVALS_RATIO = 0.75

_HELP = (
    " Consider using smaller limits in your queries, paginating your queries, or using indexed "
    "queries with a selective index range expressions."
)


class _Check(NamedTuple):
    """A counter of `TransactionUsage` and its limit in `TransactionLimits`, by name."""

    code: str
    message: str
    counter: str
    limit: str
    unit: str = ""
    help: str = ""
    ratio: float = _WARNING_RATIO


_EXECUTION = "in a single function execution"
_SCHEDULED = "scheduled by this mutation"
_CHECKS = (
    _Check(
        "TooManyDocumentsRead",
        f"Many documents read {_EXECUTION}",
        "documents_read",
        "documents_read_max",
        help=_HELP,
    ),
    _Check(
        "TooManyReads",
        f"Many reads {_EXECUTION}",
        "intervals_read",
        "intervals_read_max",
        help=_HELP,
        ratio=_INTERVALS_RATIO,
    ),
    _Check(
        "TooManyBytesRead",
        f"Many bytes read {_EXECUTION}",
        "bytes_read",
        "bytes_read_max",
        " bytes",
        _HELP,
    ),
    _Check(
        "TooManyWrites",
        f"Many writes {_EXECUTION}",
        "documents_written",
        "documents_written_max",
    ),
    _Check(
        "TooManyBytesWritten",
        f"Many bytes written {_EXECUTION}",
        "bytes_written",
        "bytes_written_max",
        " bytes",
    ),
    _Check(
        "TooManyFunctionsScheduled",
        f"Many functions {_SCHEDULED}",
        "functions_scheduled",
        "functions_scheduled_max",
    ),
    _Check(
        "ScheduledFunctionsArgumentsTooLarge",
        f"Large total size of the arguments of functions {_SCHEDULED}",
        "scheduled_args_bytes",
        "scheduled_args_bytes_max",
        " bytes",
    ),
)

_counters_of = attrgetter(*(check.counter for check in _CHECKS))
_limits_of = attrgetter(*(check.limit for check in _CHECKS))


def usage_warnings(usage: TransactionUsage, *, timestamp_ms: float) -> Iterator[LogLine]:
    """One line for every counter of the transaction that is close to its limit, not beyond it, and
    for the largest and the most nested document if they are."""
    counters, limits = _counters_of(usage), _limits_of(usage.limits)
    for check, actual, limit in zip(_CHECKS, counters, limits, strict=True):
        if limit * check.ratio < actual <= limit:
            sizes = f"(actual: {actual}{check.unit}, limit: {limit}{check.unit})."
            text = f"{check.message} {sizes}{check.help}"
            yield _line(check.code, text, timestamp_ms)
    yield from _document_warnings(usage, timestamp_ms)


def _document_warnings(usage: TransactionUsage, timestamp_ms: float) -> Iterator[LogLine]:
    id_text, size_bytes = usage.largest_document
    message = f'Large document written with ID "{id_text}"'
    yield from _close_to(
        "DocumentTooLarge", message, size_bytes, DOCUMENT_BYTES_MAX, timestamp_ms=timestamp_ms
    )
    id_text, nesting = usage.most_nested_document
    message = f'Deeply nested document written with ID "{id_text}"'
    yield from _close_to(
        "TooNested",
        message,
        nesting,
        DOCUMENT_NESTING_MAX,
        unit=" levels",
        timestamp_ms=timestamp_ms,
    )


def time_warnings(
    user_seconds: float, user_seconds_max: float, *, timestamp_ms: float
) -> Iterator[LogLine]:
    """A line if JavaScript ran for most of the time that it may."""
    if user_seconds_max * _WARNING_RATIO < user_seconds <= user_seconds_max:
        text = (
            "Function execution took a long time. "
            f"(maximum duration: {user_seconds_max:g}s, actual duration: {user_seconds:.3g}s)."
        )
        yield _line("UserTimeout", text, timestamp_ms)


def size_warnings(
    udf_type: UdfType,
    args_json: str,
    result: FunctionResult | JsError,
    settings: IsolateSettings,
    *,
    timestamp_ms: float,
) -> Iterator[LogLine]:
    """Lines if arguments or a result, both checked before, are close to their limit."""
    is_action = udf_type is UdfType.ACTION
    args_code = "FunctionArgumentsTooLarge" if is_action else "TooLargeFunctionArguments"
    args_message = f"Large size of the {'action' if is_action else 'function'} arguments"
    sizes = [(args_code, args_message, args_json, settings.argument_bytes_max)]
    if isinstance(result, FunctionResult):
        message = f"Large size of the {'action' if is_action else 'function'} return value"
        sizes.append(
            ("TooLargeFunctionResult", message, result.value_json, settings.result_bytes_max)
        )
    for code, message, json, bytes_max in sizes:
        actual_bytes = value_bytes_if_large(json, int(bytes_max * _WARNING_RATIO))
        yield from _close_to(code, message, actual_bytes, bytes_max, timestamp_ms=timestamp_ms)


def response_warnings(
    response_bytes: int, response_bytes_max: int, *, timestamp_ms: float
) -> Iterator[LogLine]:
    """A line if the response of an HTTP action is close to the limit, not beyond it."""
    message = "Large response returned from an HTTP action"
    yield from _close_to(
        "HttpResponseTooLarge",
        message,
        response_bytes,
        response_bytes_max,
        timestamp_ms=timestamp_ms,
    )


def _close_to(
    code: str, message: str, actual: int, limit: int, *, timestamp_ms: float, unit: str = " bytes"
) -> Iterator[LogLine]:
    if limit * _WARNING_RATIO < actual <= limit:
        text = f"{message} (actual: {actual}{unit}, limit: {limit}{unit})."
        yield _line(code, text, timestamp_ms)


def _line(code: str, text: str, timestamp_ms: float) -> LogLine:
    return LogLine(
        level=LogLevel.WARN,
        messages=(text,),
        timestamp_ms=timestamp_ms,
        system_code=f"warning:{code}",
    )
