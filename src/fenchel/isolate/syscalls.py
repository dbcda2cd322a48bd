"""System calls of queries and mutations: each operation, what it does to the transaction, what it
answers.

Results are JSON text. Stored documents go through as the text they were stored as. An operation
that fails for a reason that user code may catch becomes a rejected promise; any other failure ends
the execution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from fenchel.auth import Unknown, user_attributes
from fenchel.database import (
    Cursor,
    PageRequest,
    QueryStream,
    Transaction,
    UserTables,
    decode_cursor,
    encode_cursor,
)
from fenchel.definitions import FunctionPath
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.isolate import syscall_args as args_of
from fenchel.isolate.addresses import Address, invalid_arguments
from fenchel.isolate.anticipation import Turn
from fenchel.isolate.audit_log import AuditLines
from fenchel.isolate.frames import ProtocolError
from fenchel.isolate.host import NestedCall, NestedKind, UdfHost
from fenchel.isolate.messages import (
    AnsweredCall,
    Syscall,
    encode_error_payload,
    encode_json_bytes,
)
from fenchel.isolate.metadata import (
    Deployment,
    function_metadata,
    request_metadata,
    transaction_metrics,
)
from fenchel.isolate.storage_syscalls import (
    STORAGE_BODIES,
    STORAGE_READS,
    STORAGE_WRITES,
    StorageCall,
)
from fenchel.isolate.syscall_args import decode_args
from fenchel.udf import JsError, LogLine, QueryJournal, UdfRequest, UdfType
from fenchel.values import encode_json

_NULL = b"null"
_AHEAD_BYTES_MAX = 1 << 20

Answer = tuple[bool, bytes]


@dataclass(slots=True)
class _Stream:
    """`fetched` documents went to the worker; `consumed` of them were handed to user code."""

    stream: QueryStream
    fetched: int = 0
    consumed: int = 0
    is_exhausted: bool = False


class TransactionSyscalls:
    """One execution's system calls. Start value: nothing observed, no streams, empty journal.

    Fields that callers read afterwards: `observed_identity`, `observed_time`, `observed_randomness`
    (these two from nested calls and from operations here), `journal`, `nested_log_lines`,
    `audit`, `has_sync_calls`.
    """

    def __init__(
        self,
        request: UdfRequest,
        transaction: Transaction,
        host: UdfHost,
        deployment: Deployment,
    ) -> None:
        self.observed_identity = False
        self.observed_time = False
        self.observed_randomness = False
        self.journal = QueryJournal()
        self.nested_log_lines: list[LogLine] = []
        self.audit = AuditLines()
        self._request = request
        self._transaction = transaction
        self._tables: UserTables = transaction.user(request.path.component)
        self._host = host
        self._deployment = deployment
        self._streams: dict[int, _Stream] = {}
        self._nested_count = 0
        self._has_paginated = False
        self.has_sync_calls = False

    async def run_batch(self, calls: list[Syscall]) -> tuple[list[tuple[int, int]], list[bytes]]:
        """Meta and payloads of the answers, in call order; one after the other, so that the order
        of effects is that of the calls (execution 2.3)."""
        meta: list[tuple[int, int]] = []
        payloads: list[bytes] = []
        for call in calls:
            is_success, payload = await self._run(call)
            meta.append((call.id, int(is_success)))
            payloads.append(payload)
        return meta, payloads

    async def run_ahead(self, turns: Sequence[Turn]) -> list[AnsweredCall]:
        """The answers of calls that the execution has not made yet, as far as they are not too
        large to be sent on speculation."""
        answered: list[AnsweredCall] = []
        payload_bytes = 0
        for number, calls in enumerate(turns):
            for call in calls:
                is_success, payload = await self._run(call)
                answered.append(AnsweredCall(call.op, call.args, is_success, payload, number))
                payload_bytes += len(payload)
            if payload_bytes > _AHEAD_BYTES_MAX:
                break
        return answered

    async def _run(self, call: Syscall) -> Answer:
        try:
            handler = _HANDLERS.get(call.op)
            if handler is None:
                raise bad_request("UnknownAsyncOperation", f"Unknown async operation {call.op}")
            if call.op in _MUTATION_ONLY and self._request.udf_type is not UdfType.MUTATION:
                raise bad_request(
                    "ReadOnlyTransaction", f"{call.op} is only available in mutations."
                )
            return True, await handler(self, call.args)
        except FenchelError as error:
            return False, error_payload(error)

    def answer_sync_call(self, op: str, args: bytes) -> Answer:
        """Operations whose caller waits with JavaScript stopped; they do no I/O."""
        self.has_sync_calls = True
        try:
            match op:
                case "1.0/db/normalizeId":
                    return True, self._normalize_id(args)
                case "1.0/getSnapshotTs":
                    self.observed_time = True
                    return True, encode_json(int(self._transaction.begin_ts)).encode()
                case "1.0/componentArgument":
                    return True, component_argument(self._request, args)
                case _:
                    raise bad_request("UnknownOperation", f"Unknown operation {op}")
        except FenchelError as error:
            return False, error_payload(error)

    def record_consumed(self, consumed: Iterable[tuple[int, int, int]]) -> None:
        """Totals of documents that user code has taken from each stream.

        Raises: ProtocolError for more than was sent or less than before; FenchelError for a limit.
        """
        for query_id, total, saw_end in consumed:
            entry = self._streams.get(query_id)
            if entry is None and (total, saw_end) == (0, 0):
                continue  # its query was refused
            if entry is None or not entry.consumed <= total <= entry.fetched:
                raise ProtocolError("a stream's consumption does not fit what was sent")
            if saw_end and not (entry.is_exhausted and total == entry.fetched):
                raise ProtocolError("a stream cannot have ended")
            entry.consumed = total
            entry.stream.record_consumed(total, bool(saw_end))

    # Documents

    async def _get(self, text: bytes) -> bytes:
        args = decode_args(args_of.Get, text, "db.get")
        document = await self._tables.get(args.id, table=args.table, is_system=args.is_system)
        return _NULL if document is None else document.value_json.encode()

    async def _insert(self, text: bytes) -> bytes:
        args = decode_args(args_of.Insert, text, "db.insert")
        value = args_of.decode_document(args.value, "db.insert")
        return encode_json_bytes({"_id": await self._tables.insert(args.table, value)})

    async def _patch(self, text: bytes) -> bytes:
        args = decode_args(args_of.Write, text, "db.patch")
        fields = args_of.decode_patch_fields(args.value, "db.patch")
        document = await self._tables.patch(args.id, fields, table=args.table)
        return document.value_json.encode()

    async def _replace(self, text: bytes) -> bytes:
        args = decode_args(args_of.Write, text, "db.replace")
        value = args_of.decode_document(args.value, "db.replace")
        document = await self._tables.replace(args.id, value, table=args.table)
        return document.value_json.encode()

    async def _remove(self, text: bytes) -> bytes:
        args = decode_args(args_of.Remove, text, "db.delete")
        return (await self._tables.delete(args.id, table=args.table)).value_json.encode()

    async def _count(self, text: bytes) -> bytes:
        args = decode_args(args_of.Count, text, "db.count")
        return encode_json(float(await self._tables.count(args.table))).encode()

    def _normalize_id(self, text: bytes) -> bytes:
        args = decode_args(args_of.NormalizeId, text, "db.normalizeId")
        is_system = args.table.startswith("_")
        id = self._tables.normalize_id(args.table, args.id_string, is_system=is_system)
        return encode_json_bytes({"id": id})

    # Queries

    async def _stream_page(self, text: bytes) -> bytes:
        """One flag line, then a document a line; canonical JSON holds no raw newline."""
        args = decode_args(args_of.StreamPage, text, "queryStreamNext")
        self.record_consumed(args.consumed)
        entry = self._streams.get(args.query_id)
        if entry is None:
            query = args_of.decode_query(args.query, "queryStreamNext")
            if query is None:
                raise bad_request("QueryNotFound", "in-progress query not found")
            entry = _Stream(self._tables.open_stream(query))
            self._streams[args.query_id] = entry
        page = await entry.stream.fetch_page()
        entry.fetched += len(page.documents)
        entry.is_exhausted = page.is_done
        # A list: a generator costs more than the text that it joins.
        documents = "\n".join([document.value_json for document in page.documents])
        return f"{int(page.is_done)}\n{documents}".encode()

    async def _query_page(self, text: bytes) -> bytes:
        args = decode_args(args_of.QueryPage, text, "queryPage")
        if self._request.path.component:
            raise bad_request(
                "PaginationUnsupportedInComponents",
                "paginate() is only supported in the app. Use `paginator` from convex-helpers in "
                "components.",
            )
        if self._has_paginated:
            raise bad_request(
                "MultiplePaginatedDatabaseQueries",
                "This query or mutation function ran multiple paginated queries. Convex only "
                "supports a single paginated query in each function.",
            )
        self._has_paginated = True
        result = await self._tables.paginate(
            PageRequest(
                query=args.query,
                cursor=self._open_cursor(args.cursor),
                end_cursor=self._open_cursor(args.end_cursor),
                page_size=args.page_size,
                max_rows=args.maximum_rows_read,
                max_bytes=args.maximum_bytes_read,
                previous_journal_end=self._journal_end(),
            )
        )
        end = self._seal_cursor(result.continue_cursor)
        self.journal = QueryJournal(end_cursor=end)
        rest = {
            "isDone": result.is_done,
            "continueCursor": end,
            "splitCursor": result.split_cursor and self._seal_cursor(result.split_cursor),
            "pageStatus": result.page_status and result.page_status.value,
        }
        page = ",".join(document.value_json for document in result.page)
        return f'{{"page":[{page}],'.encode() + encode_json_bytes(rest)[1:]

    def _open_cursor(self, text: str | None) -> Cursor | None:
        return None if text is None else decode_cursor(self._host.open_cursor(text))

    def _journal_end(self) -> Cursor | None:
        """An unreadable journal is as good as none: the page then follows its size (execution
        7.4).
        """
        try:
            return self._open_cursor(self._request.journal.end_cursor)
        except FenchelError:
            return None

    def _seal_cursor(self, cursor: Cursor) -> str:
        return self._host.seal_cursor(encode_cursor(cursor))

    # Who and where

    async def _get_user_identity(self, text: bytes) -> bytes:
        self.observed_identity = not self._request.path.component
        return identity_json(self._request)

    async def _sign_jwt(self, text: bytes) -> bytes:
        args = decode_args(args_of.SignJwt, text, "signJwt")
        token = self._host.sign_token(self._request, args.claims, args.expires_in_seconds)
        return encode_json_bytes(token)

    async def _get_function_metadata(self, text: bytes) -> bytes:
        return function_metadata(self._request)

    async def _get_deployment_metadata(self, text: bytes) -> bytes:
        return encode_json_bytes(self._deployment)

    async def _get_request_metadata(self, text: bytes) -> bytes:
        if self._request.udf_type is UdfType.QUERY:
            raise bad_request("RequestMetadataNotAllowed", "Cannot get request metadata in a Query")
        return request_metadata(self._request)

    async def _get_transaction_metrics(self, text: bytes) -> bytes:
        return transaction_metrics(self._transaction.usage)

    async def _audit_log(self, text: bytes) -> bytes:
        self.audit.add_call(text)
        return _NULL

    # Other functions

    async def _run_udf(self, text: bytes) -> bytes:
        args = decode_args(args_of.RunUdf, text, "runUdf")
        try:
            kind = NestedKind(args.udf_type)
        except ValueError as error:
            raise invalid_arguments("runUdf", error) from error
        if self._request.udf_type is UdfType.QUERY and kind is not NestedKind.QUERY:
            name = "Mutation" if kind is NestedKind.MUTATION else "SnapshotQuery"
            raise bad_request(
                "InvalidFunctionCall", f"Cannot call a {name} function from a Query function"
            )
        call = NestedCall(
            path=await self._resolve(args),
            kind=kind,
            args_json=bytes(args.args).decode(),
            seed=self._nested_seed(),
            limits=args_of.tighten(self._transaction.usage.limits, args.transaction_limits),
        )
        outcome = await self._host.run_nested(self._request, self._transaction, call)
        self.nested_log_lines.extend(outcome.log_lines)
        for line in outcome.audit_lines:
            self.audit.add(line)
        self.observed_identity |= outcome.observed_identity
        self.observed_time |= outcome.observed_time
        self.observed_randomness |= outcome.observed_randomness
        if isinstance(outcome.result, JsError):
            raise js_error_as_exception(outcome.result)
        return outcome.result.value_json.encode()

    def _nested_seed(self) -> bytes:
        self._nested_count += 1
        counter = self._nested_count.to_bytes(4, "little")
        return hashlib.sha256(self._request.seed + b"nested" + counter).digest()

    async def _schedule(self, text: bytes) -> bytes:
        args = decode_args(args_of.Schedule, text, "scheduler")
        id = await self._host.schedule(
            self._request,
            self._transaction,
            await self._resolve(args),
            args_of.encode_args_array(args.args, "scheduler"),
            args.ts,
        )
        return encode_json_bytes(id)

    async def _cancel_job(self, text: bytes) -> bytes:
        args = decode_args(args_of.CancelJob, text, "db.cancel_job")
        await self._host.cancel_job(self._request, self._transaction, args.id)
        return _NULL

    async def _create_function_handle(self, text: bytes) -> bytes:
        address = decode_args(Address, text, "createFunctionHandle")
        component = self._request.path.component
        return encode_json_bytes(
            await self._host.create_function_handle(self._transaction, address, component)
        )

    async def _resolve(self, address: Address) -> FunctionPath:
        component = self._request.path.component
        return await self._host.resolve_address(self._transaction, address, component)


def _storage_handler(
    call: StorageCall,
) -> Callable[[TransactionSyscalls, bytes], Awaitable[bytes]]:
    async def run(syscalls: TransactionSyscalls, text: bytes) -> bytes:
        component = syscalls._request.path.component
        return await call(syscalls._host.files(syscalls._transaction, component), text)

    return run


_HANDLERS: dict[str, Callable[[TransactionSyscalls, bytes], Awaitable[bytes]]] = {
    "fenchel/queryPage": TransactionSyscalls._stream_page,
    "1.0/get": TransactionSyscalls._get,
    "1.0/insert": TransactionSyscalls._insert,
    "1.0/shallowMerge": TransactionSyscalls._patch,
    "1.0/replace": TransactionSyscalls._replace,
    "1.0/remove": TransactionSyscalls._remove,
    "1.0/count": TransactionSyscalls._count,
    "1.0/queryPage": TransactionSyscalls._query_page,
    "1.0/getUserIdentity": TransactionSyscalls._get_user_identity,
    "1.0/signJwt": TransactionSyscalls._sign_jwt,
    "1.0/getFunctionMetadata": TransactionSyscalls._get_function_metadata,
    "1.0/getDeploymentMetadata": TransactionSyscalls._get_deployment_metadata,
    "1.0/getRequestMetadata": TransactionSyscalls._get_request_metadata,
    "1.0/getTransactionMetrics": TransactionSyscalls._get_transaction_metrics,
    "1.0/auditLog": TransactionSyscalls._audit_log,
    "1.0/runUdf": TransactionSyscalls._run_udf,
    "1.0/schedule": TransactionSyscalls._schedule,
    "1.0/cancel_job": TransactionSyscalls._cancel_job,
    "1.0/createFunctionHandle": TransactionSyscalls._create_function_handle,
    **{
        op: _storage_handler(call)
        for op, call in (STORAGE_READS | STORAGE_WRITES | STORAGE_BODIES).items()
    },
}
_MUTATION_ONLY = frozenset(
    {
        "1.0/insert",
        "1.0/shallowMerge",
        "1.0/replace",
        "1.0/remove",
        "1.0/schedule",
        "1.0/cancel_job",
        "1.0/signJwt",
        *STORAGE_WRITES,
        *STORAGE_BODIES,
    }
)


def error_payload(error: FenchelError) -> bytes:
    """The rejection that user code sees. Raises: `error` itself if it is not for user code to
    catch.
    """
    if not error.is_developer_error:
        raise error
    return encode_error_payload(error.message, error.data_json)


def js_error_as_exception(error: JsError) -> FenchelError:
    """A callee's failure as its caller sees it: the whole formatted text, and the data (execution
    5.2).
    """
    return FenchelError(
        ErrorKind.BAD_REQUEST, "NestedFunctionError", error.pretty, data_json=error.data_json
    )


def identity_json(request: UdfRequest) -> bytes:
    """What `getUserIdentity` answers; components see nobody (execution 6.8)."""
    if request.path.component:
        return _NULL
    if isinstance(request.identity, Unknown):
        raise FenchelError(
            ErrorKind.UNAUTHENTICATED, request.identity.code, request.identity.message
        )
    return encode_json_bytes(user_attributes(request.identity))


def component_argument(request: UdfRequest, text: bytes) -> bytes:
    """What the component was given under that name as it was mounted. Raises: a developer error."""
    name = decode_args(args_of.ComponentArgument, text, "componentArgument").name
    if not request.path.component:
        raise bad_request("NoComponentArgs", "The app has no component arguments.")
    value_json = request.component_args.get(name)
    if value_json is None:
        raise bad_request("UnknownComponentArg", f"The component has no argument {name!r}.")
    return value_json.encode()
