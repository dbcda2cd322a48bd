"""What goes into one execution, and what an action may ask of the backend while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from enum import Enum
from typing import Protocol, TypeVar

import msgspec

from fenchel.auth import Anonymous, Identity, User, is_admin
from fenchel.definitions import FunctionPath
from fenchel.udf.log_line import LogLine
from fenchel.udf.outcome import QueryJournal
from fenchel.udf.storage import FileAccess, FileSource

_Result = TypeVar("_Result")


class UdfType(Enum):
    # Several look-ups for each execution, and Enum's own is no C function.
    __hash__ = object.__hash__

    QUERY = "Query"
    MUTATION = "Mutation"
    ACTION = "Action"
    HTTP_ACTION = "HttpAction"


class ExecutionContext(msgspec.Struct, frozen=True, kw_only=True):
    """Ids that follow a request through everything it causes.

    `request_id`: 16 lower-case hex digits, inherited by children. `execution_id`: UUID, new for
    every attempt. `scheduling_component` is the one whose scheduler holds `parent_scheduled_job`.
    """

    request_id: str
    execution_id: str
    is_root: bool = True
    parent_scheduled_job: str | None = None
    scheduling_component: str = ""
    client_ip: str | None = None
    user_agent: str | None = None


class UdfRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the outcome may depend on, besides code and snapshot.

    `args_json`: JSON text of an array with one encoded object. `seed`: 32 bytes. `unix_ms`: the
    frozen time. `component_args`: Value JSON texts, what the component was given as it was mounted;
    part of the code.
    """

    path: FunctionPath
    udf_type: UdfType
    args_json: str
    identity: Identity
    context: ExecutionContext
    seed: bytes
    unix_ms: int
    journal: QueryJournal = QueryJournal()
    on_log_line: Callable[[LogLine], None] | None = None
    component_args: Mapping[str, str] = {}

    @property
    def client(self) -> str:
        """Who shares a place in the queues with this request: a user by the token, everyone else by
        the address, and work that no client asked for.
        """
        if isinstance(self.identity, User):
            return self.identity.user.token_identifier
        return self.context.client_ip or ""

    def identity_for(self, callee: FunctionPath) -> Identity:
        """Whom a function that this one calls sees: between components nobody, unless the caller
        is an admin (execution 6.8).
        """
        is_inside = not self.path.component and not callee.component
        return self.identity if is_inside or is_admin(self.identity) else Anonymous()


class ActionCallbacks(Protocol):
    """What `ctx` of an action can do. Each call is a transaction of its own.

    All methods raise FenchelError; a failing callee is raised with its formatted message and its
    ConvexError data. `args_json` and results are Value JSON texts of one object, resp. one value.
    """

    async def run_query(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str: ...

    async def run_mutation(
        self, request: UdfRequest, path: FunctionPath, args_json: str
    ) -> str: ...

    async def run_action(self, request: UdfRequest, path: FunctionPath, args_json: str) -> str: ...

    async def schedule(
        self, request: UdfRequest, path: FunctionPath, args_json: str, unix_seconds: float
    ) -> str: ...

    async def cancel_job(self, request: UdfRequest, job_id: str) -> None: ...

    async def with_files(
        self,
        request: UdfRequest,
        work: Callable[[FileAccess], Awaitable[_Result]],
    ) -> _Result:
        """What `work` gave in a transaction of its own, which is committed."""
        ...

    async def store_file(
        self,
        request: UdfRequest,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None,
        sha256: bytes | None,
    ) -> str:
        """The id of the new file. Raises: Sha256Mismatch; what `chunks` raises."""
        ...

    async def open_file(
        self, request: UdfRequest, storage_id: str, start: int, length: int
    ) -> FileSource:
        """So many bytes of the file from `start` on, or those that there are. Raises:
        StorageFileDeleted."""
        ...
