"""What clients are told about each mistake of a developer (execution 1.6, 2.5-2.7, 3.4, 4;
database 4.4, 5.4), word for word. error_app/ makes the mistakes.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.fenchel_server import HERE, ConvexApp

if TYPE_CHECKING:
    from tests.end_to_end.conftest import StartServer

Call = Callable[[str, str, Any], dict[str, Any]]

SCHEMA = (
    'Failed to insert or update a document in table "items" because it does not match the schema: '
)
ITEM = (
    'v.object({colour: v.optional(v.literal("red")), counts: v.optional(v.record(v.string(), '
    'v.int64())), name: v.string(), other: v.optional(v.id("loose")), price: '
    "v.optional(v.float64()), size: v.optional(v.union(v.float64(), v.object({width: "
    "v.float64()}))), tags: v.optional(v.array(v.object({label: v.string()})))})"
)
MISSING = (
    "Object is missing the required field `name`. Consider wrapping the field validator in "
    "`v.optional(...)` if this is expected."
)
INDEXES = "https://docs.convex.dev/using/indexes"
SMALLER = (
    "Consider using smaller limits in your queries, paginating your queries, or using indexed "
    "queries with a selective index range expressions."
)
ACTION = (
    "in queries and mutations. Please consider using an action. See "
    "https://docs.convex.dev/functions/actions for more details."
)
WRONG_ID = "Invalid argument `id` for `db.get`: "

# Ids are written as ID, times as TIME.
IN_MUTATIONS = {
    "getNonsense": WRONG_ID + "Unable to decode ID: Invalid ID length 8",
    "getLetters": WRONG_ID + "Unable to decode ID: ID wasn't valid base32",
    "getOtherTable": WRONG_ID + 'expected to be an Id<"loose">, got Id<"items"> instead.',
    "getSystem": "System tables can only be accessed with db.system.",
    "getUserAsSystem": "User tables cannot be accessed with db.system.",
    "deleteSystem": "System tables can only be accessed with db.system.",
    "patchMissing": "Update on nonexistent document ID ID",
    "replaceMissing": "Replace on nonexistent document ID ID",
    "deleteMissing": "Delete on nonexistent document ID ID",
    "patchOtherTable": "Invalid argument `id` for `db.patch`: expected to be an "
    'Id<"loose">, got Id<"items"> instead.',
    "insertId": "Provided document ID ID doesn't match '_id' field \"ID\"",
    "insertTime": "Provided creation time TIME doesn't match '_creationTime' field in "
    "{_creationTime: 1.0}",
    "insertUnderscore": '{_creationTime: TIME, _id: "ID", _mine: 1.0} isn\'t a valid document: '
    "Field '_mine' starts with an underscore, which is only allowed for system fields like '_id'",
    "insertDollar": "Field name $mine starts with a '$', which is reserved.",
    "insertFieldName": "Field name é has invalid character 'é': Field names can only contain "
    "non-control ASCII characters",
    "insertArray": "Invalid arguments for `db.insert`: Value must be an Object",
    "insertSystemTable": "System tables (prefixed with `_`) are read-only.",
    "insertTableName": 'Invalid table name: "no-name". Identifiers must start with a letter and '
    "can only contain letters, digits, and underscores.",
    "insertVirtual": "System tables (prefixed with `_`) are read-only.",
    "insertLarge": "Value is too large (1 MiB > maximum size 1 MiB)",
    "insertDeep": "Document is too nested (nested 17 levels deep > maximum nesting 16)",
    "insertLongArray": "Array length is too long (8193 > maximum length 8192)",
    "insertManyFields": "Object has too many fields (1025 > maximum number 1024)",
    "schemaMissing": f"{SCHEMA}{MISSING}\n\nObject: {{}}\nValidator: {ITEM}",
    "schemaPatch": f"{SCHEMA}{MISSING}\n\nObject: {{}}\nValidator: {ITEM}",
    "schemaExtra": f"{SCHEMA}Object contains extra field `more` that is not in the validator.\n\n"
    f'Object: {{more: 1.0, name: "x"}}\nValidator: {ITEM}',
    "schemaType": f"{SCHEMA}Value does not match validator.\nPath: .name\nValue: 1.0\n"
    "Validator: v.string()",
    "schemaPath": f"{SCHEMA}Value does not match validator.\nPath: .tags[1].label\nValue: null\n"
    "Validator: v.string()",
    "schemaLiteral": f'{SCHEMA}`"blue"` does not match literal validator `v.literal("red")`.'
    "Path: .colour",
    "schemaId": f'{SCHEMA}Found ID "ID" from table `items`, which does not match the table name '
    'in validator `v.id("loose")`.Path: .other',
    "schemaSystemId": f'{SCHEMA}Found ID "ID" from a system table, which does not match the table '
    'name in validator `v.id("loose")`.Path: .other',
    "schemaRecord": f"{SCHEMA}Value does not match validator.\nPath: .counts.values()\n"
    "Value: 1.0\nValidator: v.int64()",
    "schemaUnion": f'{SCHEMA}Value does not match validator.\nPath: .size\nValue: {{width: "wide"}}'
    "\nValidator: v.union(v.float64(), v.object({width: v.float64()}))",
    "rangeTwoEqual": 'Already defined equality bound in index range. Can\'t add "a" == 2.0.',
    "rangeTwoLower": 'Already defined lower bound in index range. Can\'t add "a" >= 2.0.',
    "rangeTwoUpper": 'Already defined upper bound in index range. Can\'t add "a" <= "y".',
    "rangeTwoFields": "Upper and lower bounds in `range` can only be applied to a single index "
    "field. This query against index loose.by_a_b attempted to set a range bound on both "
    f'"a" and "b". Consider using `filter` instead. See {INDEXES} for more info.',
    "rangeUnknownField": 'The index range included a comparison with "c", but loose.by_a_b with '
    f'fields ["a", "b", "_creationTime"] doesn\'t index this field. For more information see '
    f"{INDEXES}.",
    "rangeOrder": "Tried to query index loose.by_a_b but the query didn't use the index fields in "
    'order.\nIndex fields: ["a", "b", "_creationTime", "_id"]\nQuery fields: ["b"]\n'
    f'First incorrect field: "b"\nFor more information see {INDEXES}.',
    "indexUnknown": "Index loose.missing not found.",
    "indexStaged": "Index loose.staged is currently staged and not available to query until it is "
    "enabled.",
    "indexSearch": "Index loose.by_text is not a database index",
    "filterAdd": 'Cannot add 1.0 (type float64) and "a" (type string)',
    "filterOverflow": "Cannot add 9223372036854775807 (type int64) and 1 (type int64): the result "
    "is out of range for Int64",
    "filterZero": "Cannot divide 9223372036854775807 by zero",
    "filterBoolean": "Cannot use value 1.0 (type float64) as a Boolean",
    "operators": "Can't construct query with more than 256 operators",
    "uniqueTwo": "unique() query returned more than one result from table loose:\n [ID, ID, ...]",
    "pageZero": "Must request at least 1 document while paginating",
    "pageLarge": "Requested too many items: 32001",
    "pageTwice": "This query or mutation function ran multiple paginated queries. Convex only "
    "supports a single paginated query in each function.",
    "manyWrites": "Too many writes in a single function execution (limit: 16000)",
    "muchWritten": "Too many bytes written in a single function execution (limit: 16 MiB)",
    "manyRanges": f"Too many reads in a single function execution (limit: 4096). {SMALLER}",
    "manyScheduled": "Too many functions scheduled by this mutation (limit: 1000)",
    "muchScheduled": "Too large total size of the arguments of scheduled functions from this "
    "mutation (limit: 16777216 bytes)",
    "queryAsMutation": "Trying to execute mistakes.js:inQuery as Mutation, but it is defined as "
    "Query.",
    "missingFunction": "Could not find public function for 'nowhere:fn'.",
    "nestedMistake": f"Uncaught Error: {WRONG_ID}Unable to decode ID: Invalid ID length 8",
    "scheduleMissingModule": "Attempted to schedule function at nonexistent path: nowhere:fn",
    "scheduleMissingFunction": "Attempted to schedule function, but no exported function fn found "
    "in the file: mistakes.js. Did you forget to export it?",
    "scheduleFar": "The time SECONDS of a scheduled function is more than 5 years in the future.",
    "schedulePast": "The time SECONDS of a scheduled function is more than 5 years in the past.",
    "cancelOther": "'ID' is not the id of a scheduled function. Pass an id that the scheduler "
    "returned.",
    "fetch": f"Can't use fetch() {ACTION}",
    "timeout": f"Can't use setTimeout {ACTION}",
}
IN_QUERIES = {
    "rawInsertInQuery": "1.0/insert is only available in mutations.",
    "rawUnknownQuery": "in-progress query not found",
    "rawUnknownOperation": "Unknown async operation 1.0/nothing",
    "rawMutationInQuery": "Cannot call a Mutation function from a Query function",
    "getNonsense": WRONG_ID + "Unable to decode ID: Invalid ID length 8",
    "rangeOrder": IN_MUTATIONS["rangeOrder"],
}

TAKES = (
    'v.object({id: v.optional(v.id("items")), list: v.optional(v.array(v.float64())), literal: '
    "v.optional(v.literal(<bigint>)), name: v.string(), record: v.optional(v.record(v.string(), "
    "v.object({deep: v.boolean()}))), union: v.optional(v.union(v.null(), v.bytes()))})"
)
ARGUMENTS = "ArgumentValidationError: "
NO_MATCH = f"{ARGUMENTS}Value does not match validator.\n"
ONE_OBJECT = "Invalid arguments for calls.js:takes: expected an array with exactly one object."
# (type of the call, path, arguments) -> the whole text
CALLS: list[tuple[str, str, Any, str]] = [
    ("query", "calls:takes", {}, f"{ARGUMENTS}{MISSING}\n\nObject: {{}}\nValidator: {TAKES}"),
    (
        "query",
        "calls:takes",
        {"name": "a", "x": 1},
        f"{ARGUMENTS}Object contains extra field `x` that is not in the validator.\n\n"
        f'Object: {{name: "a", x: 1.0}}\nValidator: {TAKES}',
    ),
    (
        "query",
        "calls:takes",
        {"name": 1},
        f"{NO_MATCH}Path: .name\nValue: 1.0\nValidator: v.string()",
    ),
    (
        "query",
        "calls:takes",
        {"name": "a", "list": ["x"]},
        f'{NO_MATCH}Path: .list[0]\nValue: "x"\nValidator: v.float64()',
    ),
    (
        "query",
        "calls:takes",
        {"name": "a", "literal": {"$integer": "AQAAAAAAAAA="}},
        f"{ARGUMENTS}`1` does not match literal validator `v.literal(<bigint>)`.Path: .literal",
    ),
    (
        "query",
        "calls:takes",
        {"name": "a", "record": {"k": {"deep": 1}}},
        f"{NO_MATCH}Path: .record.values().deep\nValue: 1.0\nValidator: v.boolean()",
    ),
    (
        "query",
        "calls:takes",
        {"name": "a", "id": "zz"},
        f'{NO_MATCH}Path: .id\nValue: "zz"\nValidator: v.id("items")',
    ),
    (
        "query",
        "calls:takes",
        {"name": "a", "union": 1},
        f"{NO_MATCH}Path: .union\nValue: 1.0\nValidator: v.union(v.null(), v.bytes())",
    ),
    ("query", "calls:takes", [1, 2], ONE_OBJECT),
    ("query", "calls:takes", [5], ONE_OBJECT),
    (
        "query",
        "calls:gives",
        {},
        'ReturnsValidationError: Value does not match validator.\nPath: .count\nValue: "three"\n'
        "Validator: v.float64()",
    ),
    (
        "query",
        "calls:anything",
        {"x": [[1] * 8000] * 300},
        "Arguments for calls.js:anything are too large (actual: 20.6 MiB, limit: 16 MiB)",
    ),
    (
        "query",
        "calls:anything",
        {"$x": 1},
        "Invalid arguments for calls.js:anything: Field name $x starts with '$', which is "
        "reserved.",
    ),
    (
        "query",
        "calls:write",
        {},
        "Trying to execute calls.js:write as Query, but it is defined as Mutation.",
    ),
    (
        "mutation",
        "calls:anything",
        {},
        "Trying to execute calls.js:anything as Mutation, but it is defined as Query.",
    ),
    (
        "action",
        "calls:write",
        {},
        "Trying to execute calls.js:write as Action, but it is defined as Mutation.",
    ),
    (
        "query",
        "calls:act",
        {},
        "Trying to execute calls.js:act as Query, but it is defined as Action.",
    ),
    ("query", "calls:hidden", {}, "Could not find public function for 'calls:hidden'."),
    ("query", "calls:missing", {}, "Could not find public function for 'calls:missing'."),
    ("query", "nowhere:fn", {}, "Could not find public function for 'nowhere:fn'."),
    ("query", "nowhere", {}, "Could not find public function for 'nowhere'."),
    ("query", "calls:notWrapped", {}, "Could not find public function for 'calls:notWrapped'."),
    ("query", "calls:never", {}, "Returned promise will never resolve"),
    ("query", "calls:endless", {}, "Function execution timed out (maximum duration: 1s)"),
    (
        "query",
        "calls:givesQuery",
        {},
        "Uncaught Error: Return value is a Query. Results must be retrieved with `.collect()`, "
        "`.take(n), `.unique()`, or `.first()`.",
    ),
    (
        "query",
        "calls:givesMuch",
        {},
        "Function calls.js:givesMuch return value is too large (actual: 20 MiB, limit: 16 MiB)",
    ),
    (
        "query",
        "calls:givesDeep",
        {},
        "Function calls.js:givesDeep return value invalid: Value is too nested (nested 65 levels "
        "deep > maximum nesting 64)",
    ),
    ("query", "calls:rejects", {}, "Uncaught Error: nobody waits for me"),
    ("query", "calls:imports", {}, "Uncaught TypeError: dynamic module import unsupported"),
    ("query", "calls:meta", {}, "Uncaught TypeError: import.meta unsupported"),
    ("query", "calls:throwsText", {}, "Uncaught only text"),
]


@pytest.fixture(scope="module")
def call(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Calls a function of error_app over HTTP, as the npm client does."""
    server = start_server()
    folder = tmp_path_factory.mktemp("errors") / "app"
    ConvexApp.copy(HERE / "error_app", folder, server=server).deploy()

    def run(kind: str, path: str, args: Any) -> dict[str, Any]:
        body = {"path": path, "args": args, "format": "convex_encoded_json"}
        request = urllib.request.Request(
            f"{server.url}/api/{kind}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Convex-Client": "npm-1.48.0"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    return run


def text_of(answer: dict[str, Any]) -> str:
    """The message without request id and frames, and with names for what changes."""
    assert answer["status"] == "error", answer
    head, _, message = answer["errorMessage"].partition("\n")
    assert re.fullmatch(r"\[Request ID: [0-9a-f]{16}\] Server Error", head)
    message = message.split("\n    at ")[0].rstrip("\n")
    message = re.sub(r"\b[0-9a-z]{32}\b", "ID", message)
    message = re.sub(r"The time \S+", "The time SECONDS", message)
    return re.sub(r"\b\d{13}(\.\d+)?\b", "TIME", message)


@pytest.mark.parametrize("name", IN_MUTATIONS)
def test_a_mistake_in_a_mutation(call: Call, name: str) -> None:
    answer = call("mutation", "mistakes:inMutation", {"name": name})
    assert text_of(answer) == f"Uncaught Error: {IN_MUTATIONS[name]}"


def test_import_is_for_actions(call: Call) -> None:
    assert call("action", "calls:importsInAction", {})["value"] == "late"


@pytest.mark.parametrize("name", IN_QUERIES)
def test_a_mistake_in_a_query(call: Call, name: str) -> None:
    answer = call("query", "mistakes:inQuery", {"name": name})
    assert text_of(answer) == f"Uncaught Error: {IN_QUERIES[name]}"


@pytest.mark.parametrize(("kind", "path", "args", "text"), CALLS, ids=lambda value: str(value)[:40])
def test_a_mistake_in_a_call(call: Call, kind: str, path: str, args: Any, text: str) -> None:
    assert text_of(call(kind, path, args)) == text


@pytest.mark.parametrize("name", ["getNonsense", "schemaType", "rangeOrder", "patchMissing"])
def test_code_may_catch_a_mistake(call: Call, name: str) -> None:
    caught = call("mutation", "mistakes:caught", {"name": name})["value"]
    assert re.sub(r"\b[0-9a-z]{32}\b", "ID", caught["message"]) == IN_MUTATIONS[name]
    assert caught["data"] is None


def test_an_id_with_a_wrong_digit(call: Call) -> None:
    answer = call("mutation", "mistakes:inMutation", {"name": "getChecksum"})
    assert re.fullmatch(
        f"Uncaught Error: {re.escape(WRONG_ID)}Unable to decode ID: "
        r"Invalid ID version \d+ \(expected \d+\)",
        text_of(answer),
    )


def test_calls_without_end(call: Call) -> None:
    text = text_of(call("mutation", "mistakes:inMutation", {"name": "deepCalls"}))
    limit = "Cross component call depth limit exceeded. Do you have an infinite loop in your app?"
    assert text.endswith(f"Uncaught Error: {limit}")


def test_generated_code_is_refused(call: Call) -> None:
    answer = call("mutation", "mistakes:inMutation", {"name": "evaluation"})
    refused = "Uncaught EvalError: Code generation from strings disallowed for this context"
    assert text_of(answer) == refused


def test_a_cursor_that_is_none_tells_the_client_to_start_again(call: Call) -> None:
    args = {"table": "items", "cursor": "nonsense"}
    answer = call("query", "mistakes:pageFrom", args)
    assert text_of(answer) == "Uncaught ConvexError: InvalidCursor: Failed to parse cursor"
    assert answer["errorData"] == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}


def test_a_cursor_of_another_query_tells_the_client_to_start_again(call: Call) -> None:
    page = call("query", "mistakes:pageFrom", {"table": "items", "cursor": None})["value"]
    args = {"table": "loose", "cursor": page["continueCursor"]}
    answer = call("query", "mistakes:pageFrom", args)
    assert text_of(answer).endswith(
        "InvalidCursor: Tried to run a query starting from a cursor, but it looks like this cursor "
        "is from a different query."
    )
    assert answer["errorData"] == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
