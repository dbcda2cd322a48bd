"""Checks before and after a function runs (execution 1.5, 1.6)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace

from fenchel.auth.identity import Anonymous
from fenchel.database import Database, Transaction
from fenchel.definitions import AnalyzedFunction, FunctionPath, decode_analyzed_module
from fenchel.function_runner import AllowedVisibility
from fenchel.function_runner.validation import check_args, check_function, check_result
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import ExecutionContext, FunctionResult, JsError, UdfRequest, UdfType

SETTINGS = IsolateSettings(argument_bytes_max=1 << 20, result_bytes_max=1 << 20)
PUBLIC, ALL = AllowedVisibility.PUBLIC_ONLY, AllowedVisibility.ALL
PATH = FunctionPath("", "m.js", "f")
REQUEST = UdfRequest(
    path=PATH,
    udf_type=UdfType.QUERY,
    args_json="[{}]",
    identity=Anonymous(),
    context=ExecutionContext(request_id="r", execution_id="e"),
    seed=bytes(32),
    unix_ms=0,
)


def function(visibility: str = "public") -> AnalyzedFunction:
    row = {
        "name": "f",
        "udfType": "Query",
        "visibility": {"kind": visibility},
        "args": '{"type":"any"}',
        "returns": '{"type":"number"}',
        "pos": None,
    }
    text = json.dumps({"functions": [row], "httpRoutes": None, "cronSpecs": None})
    module = decode_analyzed_module(text)
    return module.functions[0]


@pytest.fixture
async def transaction() -> AsyncIterator[Transaction]:
    database = await Database.open(MemoryPersistence(), Runtime())
    yield database.begin()
    await database.close()


def test_a_missing_and_an_internal_function_look_alike_to_clients() -> None:
    missing = check_function(None, REQUEST, PUBLIC)
    assert missing == JsError(message="Could not find public function for 'm:f'.")
    assert check_function(function("internal"), REQUEST, PUBLIC) == missing
    assert check_function(function("internal"), REQUEST, ALL) is None


def test_a_function_runs_only_as_what_it_is() -> None:
    error = check_function(function(), replace(REQUEST, udf_type=UdfType.MUTATION), PUBLIC)
    assert error is not None
    assert error.message == "Trying to execute m.js:f as Mutation, but it is defined as Query."


@pytest.mark.parametrize("args", ["[]", "[1]", "[{},{}]", "{}", "[{"])
def test_arguments_are_one_object_in_an_array(args: str, transaction: Transaction) -> None:
    request = replace(REQUEST, args_json=args)
    error = check_args(function(), request, transaction, SETTINGS, is_nested=False)
    assert error is not None
    assert error.message.startswith("Invalid arguments for m.js:f: ")


def test_arguments_and_results_have_a_size_limit(transaction: Transaction) -> None:
    text = f'"{"x" * (2 << 20)}"'
    request = replace(REQUEST, args_json=f'[{{"a":{text}}}]')
    error = check_args(function(), request, transaction, SETTINGS, is_nested=False)
    assert error is not None
    assert error.message == "Arguments for m.js:f are too large (actual: 2 MiB, limit: 1 MiB)"
    result = check_result(
        function(), REQUEST, FunctionResult(text), transaction, SETTINGS, is_nested=False
    )
    assert isinstance(result, JsError)
    assert "return value is too large (actual: 2 MiB, limit: 1 MiB)" in result.message


def test_a_result_is_checked_and_comes_in_canonical_form(transaction: Transaction) -> None:
    good = check_result(
        function(), REQUEST, FunctionResult("1"), transaction, SETTINGS, is_nested=False
    )
    assert good == FunctionResult("1.0")
    bad = check_result(
        function(), REQUEST, FunctionResult('"x"'), transaction, SETTINGS, is_nested=False
    )
    assert isinstance(bad, JsError)
    assert bad.message.startswith("ReturnsValidationError: ")
    broken = check_result(
        function(), REQUEST, FunctionResult('{"$x":1}'), transaction, SETTINGS, is_nested=False
    )
    assert isinstance(broken, JsError)
    assert "return value invalid" in broken.message


def test_only_mutations_and_what_they_call_return_the_timestamp_of_their_commit(
    transaction: Transaction,
) -> None:
    untyped = msgspec.structs.replace(function(), returns=None)
    pending = FunctionResult('{"ts":{"$commitTs":null}}')
    mutation = replace(REQUEST, udf_type=UdfType.MUTATION)
    for request, is_nested in ((mutation, False), (mutation, True), (REQUEST, True)):
        checked = check_result(
            untyped, request, pending, transaction, SETTINGS, is_nested=is_nested
        )
        assert checked == pending
    for udf_type, callers in ((UdfType.QUERY, "queries"), (UdfType.ACTION, "actions")):
        request = replace(REQUEST, udf_type=udf_type)
        error = check_result(untyped, request, pending, transaction, SETTINGS, is_nested=False)
        assert error == JsError(
            message="Function m.js:f return value invalid: "
            f"{callers} cannot return an unresolved commit timestamp"
        )


def test_only_nested_calls_take_the_timestamp_of_their_commit(transaction: Transaction) -> None:
    request = replace(REQUEST, args_json='[{"ts":{"$commitTs":null}}]')
    untyped = msgspec.structs.replace(function(), args=None)
    assert check_args(untyped, request, transaction, SETTINGS, is_nested=True) is None
    error = check_args(untyped, request, transaction, SETTINGS, is_nested=False)
    assert error is not None
    assert "cannot leave the mutation" in error.message
