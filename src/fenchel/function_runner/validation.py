"""Checks before and after a function runs, in the order and with the texts of execution 1.5 and
1.6.

Everything here is the developer's or the caller's fault, so a failed check is a JsError, never an
exception.
"""

from __future__ import annotations

from fenchel.database import Transaction
from fenchel.definitions import AnalyzedFunction, check_validator
from fenchel.errors import FenchelError, bad_request
from fenchel.function_runner.runner import AllowedVisibility
from fenchel.runtime.settings import MEBIBYTE, IsolateSettings
from fenchel.udf import FunctionResult, JsError, UdfRequest, UdfType
from fenchel.values import (
    Value,
    canonical_json,
    decode_json,
    holds_commit_ts,
    may_hold_commit_ts,
    value_size,
)

# What validators call the system tables that users may refer to (execution 6.3).
_VIRTUAL_NAMES = {"_file_storage": "_storage", "_scheduled_jobs": "_scheduled_functions"}
# The size of a value is at most this many times the length of its JSON ("1," is 9 bytes).
_SIZE_PER_JSON_BYTE_MAX = 9


def check_function(
    function: AnalyzedFunction | None, request: UdfRequest, visibility: AllowedVisibility
) -> JsError | None:
    """Does the path name a function that this caller may run in this way? One text for "missing"
    and for "internal", so that names do not leak.
    """
    path = request.path
    if function is None or (function.is_internal and visibility is AllowedVisibility.PUBLIC_ONLY):
        place = f" in '{path.component}'" if path.component else ""
        return JsError(message=f"Could not find public function for '{path.stripped}'{place}.")
    if function.udf_type != request.udf_type.value:
        return JsError(
            message=f"Trying to execute {path} as {request.udf_type.value}, "
            f"but it is defined as {function.udf_type}."
        )
    return None


def check_args(
    function: AnalyzedFunction,
    request: UdfRequest,
    transaction: Transaction,
    settings: IsolateSettings,
    *,
    is_nested: bool,
) -> JsError | None:
    """Are the arguments one object, small enough, and what the validator wants?

    Those of a nested call may hold the timestamp that its transaction will commit at.
    """
    path = request.path
    try:
        args = decode_json(request.args_json, allows_commit_ts=is_nested)
        size_bytes = _size_if_large(args, request.args_json, settings.argument_bytes_max)
        validator = function.args_validator
    except FenchelError as error:
        return JsError(message=f"Invalid arguments for {path}: {error.message}")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
        return JsError(
            message=f"Invalid arguments for {path}: expected an array with exactly one object."
        )
    if size_bytes > settings.argument_bytes_max:
        sizes = _format_sizes(size_bytes, settings.argument_bytes_max)
        return JsError(message=f"Arguments for {path} are too large {sizes}")
    if validator is None:
        return None
    tables = NamespaceTables(transaction, path.component)
    detail = check_validator(validator, args[0], tables)
    return None if detail is None else JsError(message=f"ArgumentValidationError: {detail}")


def check_result(
    function: AnalyzedFunction,
    request: UdfRequest,
    result: FunctionResult,
    transaction: Transaction,
    settings: IsolateSettings,
    *,
    is_nested: bool,
) -> FunctionResult | JsError:
    """The result in canonical JSON, if it is a value, small enough and as the validator wants.

    Mutations, and whatever they call, may return the timestamp that they will commit at.
    """
    path = request.path
    try:
        value = decode_json(result.value_json, allows_commit_ts=True)
        may_return_commit_ts = is_nested or request.udf_type is UdfType.MUTATION
        if (
            not may_return_commit_ts
            and may_hold_commit_ts(result.value_json)
            and holds_commit_ts(value)
        ):
            raise _unresolved_commit_ts(request.udf_type)
        size_bytes = _size_if_large(value, result.value_json, settings.result_bytes_max)
        validator = function.returns_validator
    except FenchelError as error:
        return JsError(message=f"Function {path} return value invalid: {error.message}")
    if size_bytes > settings.result_bytes_max:
        sizes = _format_sizes(size_bytes, settings.result_bytes_max)
        return JsError(message=f"Function {path} return value is too large {sizes}")
    if validator is not None:
        detail = check_validator(validator, value, NamespaceTables(transaction, path.component))
        if detail is not None:
            return JsError(message=f"ReturnsValidationError: {detail}")
    canonical = canonical_json(value, result.value_json)
    return result if canonical == result.value_json else FunctionResult(canonical)


def _unresolved_commit_ts(udf_type: UdfType) -> FenchelError:
    callers = "actions" if udf_type is UdfType.ACTION else "queries"
    return bad_request(
        "UnresolvedCommitTs", f"{callers} cannot return an unresolved commit timestamp"
    )


class NamespaceTables:
    """Names of the tables that a transaction sees, for `v.id` validators; looking records the
    read.
    """

    def __init__(self, transaction: Transaction, namespace: str) -> None:
        self._transaction = transaction
        self._namespace = namespace

    def table_name(self, table_number: int) -> str | None:
        table = self._transaction.find_table_by_number(self._namespace, table_number)
        if table is None:
            return None
        return _VIRTUAL_NAMES.get(table.name, table.name)


def value_bytes_if_large(value_json: str, bytes_max: int) -> int:
    """The size of an encoded value, or 0 if its text is too short for it to matter.

    Raises: FenchelError for a text that is no value.
    """
    if len(value_json) * _SIZE_PER_JSON_BYTE_MAX <= bytes_max:
        return 0
    return value_size(decode_json(value_json, allows_commit_ts=True))


def _size_if_large(value: Value, json: str, bytes_max: int) -> int:
    """The value's size, or 0 if its text is too short for it to matter."""
    return value_size(value) if len(json) * _SIZE_PER_JSON_BYTE_MAX > bytes_max else 0


def _format_sizes(actual_bytes: int, limit_bytes: int) -> str:
    return f"(actual: {_mebibytes(actual_bytes)}, limit: {_mebibytes(limit_bytes)})"


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / MEBIBYTE:.2f}".rstrip("0").rstrip(".") + " MiB"
