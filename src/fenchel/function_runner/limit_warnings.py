"""Warnings for executions that came close to a limit (execution 3.7). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fenchel.database import TransactionUsage
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
    code: str
    message: str
    actual: int
    limit: int
    unit: str = ""
    help: str = ""
    ratio: float = _WARNING_RATIO


def usage_warnings(usage: TransactionUsage, *, timestamp_ms: float) -> Iterator[LogLine]:
    """One line for every counter of the transaction that is close to its limit, not beyond it."""
    for check in _checks(usage):
        if check.limit * check.ratio < check.actual <= check.limit:
            sizes = f"(actual: {check.actual}{check.unit}, limit: {check.limit}{check.unit})."
            text = f"{check.message} {sizes}{check.help}"
            yield _line(check.code, text, timestamp_ms)


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
        message = "Large size of the function return value"
        sizes.append(
            ("TooLargeFunctionResult", message, result.value_json, settings.result_bytes_max)
        )
    for code, message, json, bytes_max in sizes:
        limit = int(bytes_max * _WARNING_RATIO)
        actual_bytes = value_bytes_if_large(json, limit)
        if limit < actual_bytes <= bytes_max:
            text = f"{message} (actual: {actual_bytes} bytes, limit: {bytes_max} bytes)."
            yield _line(code, text, timestamp_ms)


def _checks(usage: TransactionUsage) -> tuple[_Check, ...]:
    limits = usage.limits
    execution = "in a single function execution"
    scheduled = "scheduled by this mutation"
    return (
        _Check(
            "TooManyDocumentsRead",
            f"Many documents read {execution}",
            usage.documents_read,
            limits.documents_read_max,
            help=_HELP,
        ),
        _Check(
            "TooManyReads",
            f"Many reads {execution}",
            usage.intervals_read,
            limits.intervals_read_max,
            help=_HELP,
            ratio=_INTERVALS_RATIO,
        ),
        _Check(
            "TooManyBytesRead",
            f"Many bytes read {execution}",
            usage.bytes_read,
            limits.bytes_read_max,
            " bytes",
            _HELP,
        ),
        _Check(
            "TooManyWrites",
            f"Many writes {execution}",
            usage.documents_written,
            limits.documents_written_max,
        ),
        _Check(
            "TooManyBytesWritten",
            f"Many bytes written {execution}",
            usage.bytes_written,
            limits.bytes_written_max,
            " bytes",
        ),
        _Check(
            "TooManyFunctionsScheduled",
            f"Many functions {scheduled}",
            usage.functions_scheduled,
            limits.functions_scheduled_max,
        ),
        _Check(
            "ScheduledFunctionsArgumentsTooLarge",
            f"Large total size of the arguments of functions {scheduled}",
            usage.scheduled_args_bytes,
            limits.scheduled_args_bytes_max,
            " bytes",
        ),
    )


def _line(code: str, text: str, timestamp_ms: float) -> LogLine:
    return LogLine(
        level=LogLevel.WARN,
        messages=(text,),
        timestamp_ms=timestamp_ms,
        system_code=f"warning:{code}",
    )
