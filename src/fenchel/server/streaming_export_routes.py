"""What connectors such as those of Fivetran and Airbyte ask (database specification 10.7,
documentation "Streaming export API").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from fenchel.application import (
    DataSync,
    ExportSelection,
    StreamedDocument,
    StreamingExports,
    decode_selection,
    select,
)
from fenchel.definitions import finish_schema
from fenchel.errors import FenchelError, bad_request
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.function_results import ValueFormat, decode_format
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes
from fenchel.values import convert_to_clean_json, convert_to_export_json, encode_json

_TIMESTAMP_MAX = (1 << 63) - 1
_BOOLEANS = {"true": True, "false": False}


class _Arguments(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of both endpoints; in the query of a GET, or as the body of a POST."""

    snapshot: int | None = None
    cursor: str | int | None = None
    table_name: str | None = None
    component: str | None = None
    selection: Any = msgspec.UNSET
    format: str | None = None

    def select(self) -> ExportSelection:
        if self.selection is not msgspec.UNSET:
            return decode_selection(self.selection)
        return select(table=self.table_name, component=self.component)


class _SnapshotBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    values: list[msgspec.Raw]
    snapshot: int
    cursor: str | None
    has_more: bool


class _DeltasBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    values: list[msgspec.Raw]
    cursor: int
    has_more: bool


class _SyncArguments(msgspec.Struct, frozen=True, kw_only=True):
    cursor: str | None = None
    selection: Any = msgspec.UNSET


class _SyncStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`snapshot_ts`: the copy is the deployment as of then; absent while it is not whole."""

    type: str
    snapshot_ts: int | None = None


class _SyncTruncate(msgspec.Struct, frozen=True, kw_only=True):
    component: str
    table: str


class _SyncValue(msgspec.Struct, frozen=True, kw_only=True):
    component: str
    table: str
    ts: int
    deleted: bool
    value: msgspec.Raw


class _SyncPagination(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The stream has no end."""

    next_cursor: str
    has_more: bool = True


class _SyncBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    status: _SyncStatus
    truncates: list[_SyncTruncate]
    values: list[_SyncValue]
    sync_id: str
    pagination: _SyncPagination


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingExportHandlers:
    """Every endpoint needs an admin; a read-only one will do."""

    exports: StreamingExports
    sync: DataSync
    authenticator: RequestAuthenticator
    body_bytes_max: int

    @property
    def routes(self) -> Routes:
        return Routes(
            exact={
                ("GET", "/api/test_streaming_export_connection"): self.test_connection,
                ("GET", "/api/list_snapshot"): self.list_snapshot,
                ("POST", "/api/list_snapshot"): self.list_snapshot,
                ("GET", "/api/document_deltas"): self.document_deltas,
                ("POST", "/api/document_deltas"): self.document_deltas,
                ("POST", "/api/v1/data/sync"): self.sync_data,
                ("GET", "/api/json_schemas"): self.json_schemas,
                ("GET", "/api/get_table_column_names"): self.column_names,
            },
        )

    async def test_connection(self, request: Request) -> Response:
        """A null for whoever may export."""
        await self.authenticator.require_admin(request)
        return json_response(None)

    async def list_snapshot(self, request: Request) -> Response:
        """A page of a snapshot; the first call names none. Raises: as `StreamingExports`, and
        BadQueryArgs, BadJsonBody, BadFormat, BadSelection."""
        await self.authenticator.require_admin(request)
        arguments = await self._arguments(request)
        value_format = _decode_format(arguments.format)
        if isinstance(arguments.cursor, int):
            raise _bad_arguments("The cursor of list_snapshot is a text.")
        page = await self.exports.list_snapshot(
            arguments.select(),
            snapshot=None if arguments.snapshot is None else _check_timestamp(arguments.snapshot),
            cursor=arguments.cursor,
        )
        return json_response(
            _SnapshotBody(
                values=[_encode(document, value_format, {}) for document in page.documents],
                snapshot=page.snapshot,
                cursor=page.cursor,
                has_more=page.cursor is not None,
            )
        )

    async def document_deltas(self, request: Request) -> Response:
        """Changes after the timestamp `cursor`. Raises: DocumentDeltasCursorRequired, and as
        `list_snapshot`."""
        await self.authenticator.require_admin(request)
        arguments = await self._arguments(request)
        value_format = _decode_format(arguments.format)
        if arguments.cursor is None:
            raise bad_request(
                "DocumentDeltasCursorRequired", "/api/document_deltas requires a cursor"
            )
        cursor = _check_timestamp(_decode_integer("cursor", arguments.cursor))
        page = await self.exports.document_deltas(arguments.select(), cursor)
        values = [
            _encode(document, value_format, {"_deleted": document.document is None})
            for document in page.documents
        ]
        return json_response(_DeltasBody(values=values, cursor=page.cursor, has_more=page.has_more))

    async def sync_data(self, request: Request) -> Response:
        """The next page of an endless stream, values as in the archive of an export. Raises: as
        `DataSync`, and BadJsonBody, BadSelection."""
        await self.authenticator.require_admin(request)
        arguments = await request.read_json(_SyncArguments, bytes_max=self.body_bytes_max)
        selection = ExportSelection()
        if arguments.selection is not msgspec.UNSET:
            selection = decode_selection(arguments.selection)
        page = await self.sync.load_page(selection, arguments.cursor)
        is_whole = page.status != "snapshotting"
        return json_response(
            _SyncBody(
                status=_SyncStatus(
                    type=page.status, snapshot_ts=page.snapshot_ts if is_whole else None
                ),
                truncates=[_SyncTruncate(component=c, table=t) for c, t in page.truncates],
                values=[_sync_value(document) for document in page.documents],
                sync_id=page.sync_id,
                pagination=_SyncPagination(next_cursor=page.cursor),
            )
        )

    async def json_schemas(self, request: Request) -> Response:
        """JSON Schemas by table, or by component and table; the app's tables come first."""
        await self.authenticator.require_admin(request)
        value_format = _decode_format(request.query.get("format"))
        has_delta_fields = _decode_boolean(request, "deltaSchema")
        is_by_component = _decode_boolean(request, "byComponent")
        described = await self.exports.describe_tables(
            is_lossless=value_format is ValueFormat.ENCODED
        )
        finished = {
            component: {
                table: finish_schema(schema, has_delta_fields=has_delta_fields)
                for table, schema in tables.items()
            }
            for component, tables in described.items()
        }
        if is_by_component:
            return json_response(finished)
        by_name: dict[str, Any] = {}
        for component in sorted(finished, reverse=True):
            by_name.update(finished[component])
        return json_response(by_name)

    async def column_names(self, request: Request) -> Response:
        """The top-level fields of every table, by component."""
        await self.authenticator.require_admin(request)
        described = await self.exports.describe_tables(is_lossless=False)
        by_component = {
            component: [
                {"name": table, "columns": sorted(schema["properties"])}
                for table, schema in tables.items()
            ]
            for component, tables in described.items()
        }
        return json_response({"byComponent": by_component})

    async def _arguments(self, request: Request) -> _Arguments:
        if request.method == "POST":
            return await request.read_json(_Arguments, bytes_max=self.body_bytes_max)
        query = request.query
        snapshot = query.get("snapshot")
        return _Arguments(
            snapshot=None if snapshot is None else _decode_integer("snapshot", snapshot),
            cursor=query.get("cursor"),
            table_name=query.get("tableName", query.get("table_name")),
            component=query.get("component"),
            format=query.get("format"),
        )


def _encode(
    streamed: StreamedDocument, value_format: ValueFormat, more: dict[str, bool]
) -> msgspec.Raw:
    """The document's fields behind those that say where it belongs."""
    head = {"_component": streamed.component, "_table": streamed.table, "_ts": streamed.ts, **more}
    text = _encode_fields(streamed, value_format)
    # Both are objects, and the second has at least its `_id`.
    return msgspec.Raw(msgspec.json.encode(head)[:-1] + b"," + text[1:].encode())


def _sync_value(streamed: StreamedDocument) -> _SyncValue:
    return _SyncValue(
        component=streamed.component,
        table=streamed.table,
        ts=streamed.ts,
        deleted=streamed.document is None,
        value=msgspec.Raw(_encode_fields(streamed, ValueFormat.EXPORT).encode()),
    )


def _encode_fields(streamed: StreamedDocument, value_format: ValueFormat) -> str:
    if streamed.document is None:
        return encode_json({"_id": streamed.id_text})
    is_everything = streamed.columns.is_everything
    text = streamed.document.value_json if is_everything else encode_json(streamed.pick())
    match value_format:
        case ValueFormat.CLEAN:
            return convert_to_clean_json(text)
        case ValueFormat.EXPORT:
            return convert_to_export_json(text)
        case _:
            return text


def _decode_format(name: str | None) -> ValueFormat:
    """Raises: BadFormat."""
    value_format = decode_format(name, None)
    if value_format is ValueFormat.EXPORT:
        raise bad_request("BadFormat", "Streaming exports have no format 'export_json'; use json.")
    return value_format


def _decode_integer(name: str, given: str | int) -> int:
    if isinstance(given, int):
        return given
    # Digits of other scripts are no numbers here, and no timestamp has more than 19.
    if not (given.isascii() and given.isdigit() and len(given) <= 19):
        raise _bad_arguments(f"`{name}` is not a timestamp in nanoseconds: {given[:40]!r}.")
    return int(given)


def _check_timestamp(number: int) -> int:
    if not 0 <= number <= _TIMESTAMP_MAX:
        raise _bad_arguments(f"{number} is not a timestamp in nanoseconds.")
    return number


def _decode_boolean(request: Request, name: str) -> bool:
    text = request.query.get(name, "false")
    value = _BOOLEANS.get(text)
    if value is None:
        raise _bad_arguments(f"`{name}` must be true or false, not {text[:40]!r}.")
    return value


def _bad_arguments(message: str) -> FenchelError:
    return bad_request("BadQueryArgs", message)
