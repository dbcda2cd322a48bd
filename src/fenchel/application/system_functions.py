"""The `_system/…` queries of the official CLI, native (deploy-protocol 3.12).

They run in a transaction like any query, so that their results are as reactive as those of user
code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from fenchel.application.deploy_messages import CanonicalUrls
from fenchel.application.scheduling import TransactionServices
from fenchel.database import (
    Namespace,
    PageRequest,
    SchemaTables,
    StagedTypes,
    TableAdmin,
    Transaction,
    decode_cursor,
    encode_cursor,
)
from fenchel.definitions import AnalyzedFunction
from fenchel.errors import FenchelError, bad_request
from fenchel.model import (
    get_environment_variable,
    get_import_document,
    get_latest_export_document,
    list_components,
    list_environment_variable_documents,
    list_import_documents,
    list_modules,
)
from fenchel.runtime import Randomness
from fenchel.values import Value, parse_json

_PAGE_SIZE_MAX = 32_000
_IMPORTS_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCall:
    """What a system query may use. `args` is the one argument object, `component` the one that the
    caller asks about.
    """

    transaction: Transaction
    component: Namespace
    args: Mapping[str, Value]
    services: TransactionServices
    canonical_urls: CanonicalUrls
    randomness: Randomness


SystemQuery = Callable[[SystemCall], Awaitable[Value]]


async def _list_environment_variables(call: SystemCall) -> Value:
    documents = await list_environment_variable_documents(call.transaction)
    return [document.value for document in documents]


async def _get_environment_variable(call: SystemCall) -> Value:
    name = _text(call, "name")
    value = await get_environment_variable(call.transaction, name)
    return None if value is None else {"name": name, "value": value}


async def _list_tables(call: SystemCall) -> Value:
    tables = TableAdmin(call.transaction, call.component).list_user_tables()
    names = sorted(table.name for table in tables)
    return {"page": [{"name": name} for name in names], "isDone": True, "continueCursor": "end"}


async def _read_table(call: SystemCall) -> Value:
    """A page of whole documents by creation time; an unknown table is an empty one."""
    options = _object(call, "paginationOpts")
    cursor_text = options.get("cursor")
    cursor = None
    if cursor_text is not None:
        cursor = decode_cursor(call.services.open_cursor(str(cursor_text)))
    page = await call.transaction.user(call.component).paginate(
        PageRequest(
            query=_scan(_text(call, "table"), order=str(call.args.get("order", "desc"))),
            cursor=cursor,
            page_size=_page_size(options),
        )
    )
    continue_cursor = call.services.seal_cursor(encode_cursor(page.continue_cursor))
    return {
        "page": [document.value for document in page.page],
        "isDone": page.is_done,
        "continueCursor": continue_cursor,
    }


async def _watch_table(call: SystemCall) -> Value:
    """A number that differs after every change of the table (deploy-protocol 3.12)."""
    tables = call.transaction.user(call.component)
    stream = tables.open_stream(_scan(_text(call, "tableName"), order="asc"))
    # The whole table becomes a dependency without a document being read.
    stream.record_consumed(0, saw_end=True)
    return call.randomness.uniform()


async def _count_table(call: SystemCall) -> Value:
    return float(await call.transaction.user(call.component).count(_text(call, "tableName")))


async def _describe_functions(call: SystemCall) -> Value:
    """Every function and HTTP route (deploy-protocol 3.8)."""
    described: list[Value] = []
    for module in await list_modules(call.transaction, namespace=call.component):
        if module.analysis is None:
            continue
        described += [_describe(module.path, f) for f in module.analysis.functions]
        described += [
            {"functionType": "HttpAction", "method": r.route.method, "path": r.route.path}
            for r in module.analysis.http_routes or ()
        ]
    return described


async def _get_cloud_url(call: SystemCall) -> Value:
    return call.canonical_urls.convex_cloud_url


async def _get_schemas(call: SystemCall) -> Value:
    schemas = SchemaTables(call.transaction, call.component)
    active = await schemas.get_active()
    pending = await schemas.get_pending()
    found: dict[str, Value] = {}
    if active is not None:
        found["active"] = active.schema_json
    if pending is not None:
        found["inProgress"] = pending.schema_json
    staged = StagedTypes(call.transaction, call.component)
    validations = [] if active is None else await staged.list(active.id_text)
    if validations:
        # Our own: how the documents compare with what the active schema stages.
        found["staged"] = [
            {"tableName": v.table_name, "state": v.state.value, "error": v.error}
            for v in validations
        ]
    return found


async def _get_latest_export(call: SystemCall) -> Value:
    document = await get_latest_export_document(call.transaction)
    return None if document is None else document.value


async def _get_import(call: SystemCall) -> Value:
    try:
        document = await get_import_document(call.transaction, _text(call, "importId"))
    except FenchelError as error:
        raise bad_request(error.code, error.message) from error
    return document.value


async def _list_imports(call: SystemCall) -> Value:
    documents = await list_import_documents(call.transaction, limit=_IMPORTS_LISTED)
    return [document.value for document in documents]


async def _list_components(call: SystemCall) -> Value:
    """The components below the app, mounted or not."""
    return [
        {
            "id": stored.id_text,
            "name": stored.row.name,
            "path": stored.row.path,
            "args": dict(stored.row.args),
            "state": stored.row.state,
        }
        for stored in await list_components(call.transaction)
        if stored.row.parent is not None
    ]


SYSTEM_QUERIES: Mapping[str, SystemQuery] = {
    "_system/cli/queryEnvironmentVariables.js:default": _list_environment_variables,
    "_system/cli/queryEnvironmentVariables.js:get": _get_environment_variable,
    "_system/cli/tables.js:default": _list_tables,
    "_system/cli/tableData.js:default": _read_table,
    "_system/cli/queryTable.js:default": _watch_table,
    "_system/cli/tableSize.js:default": _count_table,
    "_system/cli/modules.js:apiSpec": _describe_functions,
    "_system/cli/convexUrl.js:cloudUrl": _get_cloud_url,
    "_system/cli/exports.js:getLatest": _get_latest_export,
    "_system/cli/queryImport.js:default": _get_import,
    "_system/cli/queryImport.js:list": _list_imports,
    "_system/frontend/components.js:list": _list_components,
    "_system/frontend/getSchemas.js:default": _get_schemas,
}


def _describe(path: str, function: AnalyzedFunction) -> Value:
    visibility = function.visibility.kind if function.visibility else "public"
    return {
        "identifier": f"{path}:{function.name}",
        "functionType": function.udf_type,
        "visibility": {"kind": visibility},
        "args": _validator(function.args),
        "returns": _validator(function.returns),
    }


def _validator(text: str | None) -> Value:
    """Validator JSON as plain data; a function without a validator takes and gives anything."""
    parsed = None if text is None else parse_json(text)
    return {"type": "any"} if parsed is None else cast(Value, parsed)


def _scan(table: str, *, order: str) -> dict[str, Any]:
    if order not in {"asc", "desc"}:
        raise _invalid_args("`order` must be `asc` or `desc`.")
    return {
        "source": {"type": "FullTableScan", "tableName": table, "order": order},
        "operators": [],
    }


def _page_size(options: Mapping[str, Value]) -> int:
    count = options.get("numItems")
    if not isinstance(count, float) or not 1 <= count <= _PAGE_SIZE_MAX:
        raise _invalid_args(f"`numItems` must be a number from 1 to {_PAGE_SIZE_MAX}.")
    return int(count)


def _text(call: SystemCall, name: str) -> str:
    value = call.args.get(name)
    if not isinstance(value, str):
        raise _invalid_args(f"`{name}` must be a string.")
    return value


def _object(call: SystemCall, name: str) -> Mapping[str, Value]:
    value = call.args.get(name)
    if not isinstance(value, dict):
        raise _invalid_args(f"`{name}` must be an object.")
    return value


def _invalid_args(detail: str) -> FenchelError:
    return bad_request("ArgumentValidationError", f"ArgumentValidationError: {detail}")
