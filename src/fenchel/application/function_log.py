"""The stream of executions that `convex logs` and dashboards read (deploy-protocol 3.4).

The newest entries are kept in memory, in ascending order of their time; each has a time of its own,
so that a cursor never skips one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from fenchel.application.calls import FunctionCaller
from fenchel.application.query_cache import CacheMiss
from fenchel.application.waiting import wait_for_event
from fenchel.auth import Admin, Anonymous, Identity, System, Unknown, User
from fenchel.errors import ConflictError
from fenchel.runtime import Runtime, encode_uuid4
from fenchel.udf import LogLine, UdfType

_POLL_SECONDS_MAX = 60.0
_TIME_STEP_MS = 0.001
# Of the ids of a repetition: 8 for the request, 16 for the execution.
REPETITION_ID_BYTES = 24


class FunctionLogPage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Answer of stream_function_logs; `new_cursor` is in milliseconds."""

    entries: tuple[dict[str, Any], ...]
    new_cursor: float


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """Which function ran, for whom, and when it began; common to all its log entries.

    `identifier` is the stripped path; `parent_execution_id` names the action that called it.
    """

    udf_type: UdfType
    identifier: str
    component: str
    caller: FunctionCaller
    identity: Identity
    request_id: str
    execution_id: str
    parent_execution_id: str | None
    start_ns: int


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended. `error` is the full text, never redacted; `conflict` explains an
    attempt that was, or would have been, run again, and `miss` why a query was not answered from
    the cache.
    """

    execution_seconds: float
    user_seconds: float | None = None
    error: str | None = None
    is_cached: bool = False
    return_bytes: int | None = None
    usage: dict[str, int] | None = None
    conflict: ConflictError | None = None
    retry_count: int = 0
    will_retry: bool = False
    http_status: int | None = None
    miss: CacheMiss | None = None


class _Entry(NamedTuple):
    """`time_ms` is unique and ascending; `completion` is None while the execution goes on.

    `ids` are those of a repetition, whose `execution` is the pattern that all repetitions share.
    The wire form is made for readers only: most entries are never read.
    """

    time_ms: float
    execution: Execution
    completion: Completion | None
    log_lines: tuple[LogLine, ...]
    ids: bytes | None = None

    def describe(self) -> Execution:
        """The execution of this entry, its ids and time filled in."""
        if self.ids is None:
            return self.execution
        return replace(
            self.execution,
            request_id=self.ids[:8].hex(),
            execution_id=encode_uuid4(self.ids[8:]),
            start_ns=int(self.time_ms * 1e6),
        )


class FunctionLog:
    """Start value: empty. When full, the oldest entry makes room; readers wait for the next one."""

    def __init__(self, runtime: Runtime) -> None:
        self._clock = runtime.clock
        self._entries: deque[_Entry] = deque(
            maxlen=runtime.settings.application.function_log_entries_max
        )
        self._arrival = asyncio.Event()
        self._waiting_count = 0
        self._last_ms = 0.0

    def record_completion(
        self,
        execution: Execution,
        completion: Completion,
        log_lines: tuple[LogLine, ...] = (),
        *,
        repetition_ids: bytes | None = None,
    ) -> None:
        """An execution ended; or, with ids, a cached answer was given again as in that execution.

        The REPETITION_ID_BYTES random bytes are spelled out only if somebody reads the entry.
        """
        self._append(execution, completion, log_lines, repetition_ids)

    def record_progress(self, execution: Execution, log_lines: tuple[LogLine, ...]) -> None:
        """Lines of an action that is still running."""
        self._append(execution, None, log_lines)

    async def stream(self, cursor_ms: float, *, is_structured: bool) -> FunctionLogPage:
        """Entries newer than the cursor, waiting up to 60 s for the first.

        Structured log lines are objects, others texts. A first poll (cursor 0) of an empty log
        answers at once with the present time, so that its reader misses nothing that comes next.
        """
        deadline = self._clock.monotonic() + _POLL_SECONDS_MAX
        while True:
            entries = [entry for entry in self._entries if entry.time_ms > cursor_ms]
            if entries:
                return FunctionLogPage(
                    entries=tuple(_encode_entry(entry, is_structured) for entry in entries),
                    new_cursor=entries[-1].time_ms,
                )
            if cursor_ms == 0:
                # The next entry comes after the cursor, even in the same millisecond.
                self._last_ms = max(self._clock.now_ns() / 1e6, self._last_ms)
                return FunctionLogPage(entries=(), new_cursor=self._last_ms)
            if not await self._wait_for_arrival(deadline - self._clock.monotonic()):
                return FunctionLogPage(entries=(), new_cursor=cursor_ms)

    async def _wait_for_arrival(self, seconds_max: float) -> bool:
        """True if an entry arrived in time."""
        if seconds_max <= 0:
            return False
        self._waiting_count += 1
        try:
            return await wait_for_event(self._arrival, self._clock, seconds_max)
        finally:
            self._waiting_count -= 1

    def _append(
        self,
        execution: Execution,
        completion: Completion | None,
        log_lines: tuple[LogLine, ...],
        ids: bytes | None = None,
    ) -> None:
        self._last_ms = max(self._clock.now_ns() / 1e6, self._last_ms + _TIME_STEP_MS)
        self._entries.append(_Entry(self._last_ms, execution, completion, log_lines, ids))
        if self._waiting_count:
            self._arrival.set()
            self._arrival = asyncio.Event()


def encode_log_line(line: LogLine) -> dict[str, Any]:
    """The structured form of a line; optional fields are absent, not null."""
    fields: dict[str, Any] = {
        "messages": list(line.messages),
        "isTruncated": line.is_truncated,
        "timestamp": line.timestamp_ms,
        "level": line.level.value,
    }
    if line.system_code is not None:
        fields["systemMetadata"] = {"code": line.system_code}
    if line.component_path is not None:
        fields["componentPath"] = line.component_path
    if line.udf_path is not None:
        fields["udfPath"] = line.udf_path
    return fields


def _encode_entry(entry: _Entry, is_structured: bool) -> dict[str, Any]:
    execution = entry.describe()
    fields: dict[str, Any] = {
        "udfType": execution.udf_type.value,
        "componentPath": execution.component or None,
        "identifier": execution.identifier,
        "requestId": execution.request_id,
        "executionId": execution.execution_id,
        "logLines": [
            encode_log_line(line) if is_structured else line.pretty for line in entry.log_lines
        ],
    }
    if entry.completion is None:
        return {"kind": "Progress", **fields, "timestamp": execution.start_ns / 1e9}
    completion = _completion_fields(execution, entry.completion)
    return {"kind": "Completion", **fields, **completion, "timestamp": entry.time_ms / 1e3}


def _completion_fields(execution: Execution, completion: Completion) -> dict[str, Any]:
    return {
        "cachedResult": completion.is_cached,
        "caller": execution.caller.value,
        "parentExecutionId": execution.parent_execution_id,
        "executionTime": completion.execution_seconds,
        "userExecutionTime": completion.user_seconds,
        "success": _encode_status(completion.http_status),
        "error": completion.error,
        "usageStats": completion.usage or {},
        "returnBytes": completion.return_bytes,
        "occInfo": _encode_conflict(completion),
        "willRetry": completion.will_retry,
        "executionTimestamp": execution.start_ns / 1e9,
        "identityType": _identity_type(execution.identity),
        "environment": "isolate",
        **_encode_miss(completion.miss),
    }


def _encode_status(http_status: int | None) -> dict[str, str] | None:
    return None if http_status is None else {"status": str(http_status)}


def _encode_conflict(completion: Completion) -> dict[str, Any] | None:
    if completion.conflict is None:
        return None
    source = completion.conflict.source
    return {
        "tableName": source.table_name,
        "documentId": source.document_id,
        "writeSource": source.write_source,
        "retryCount": completion.retry_count,
    }


def _encode_miss(miss: CacheMiss | None) -> dict[str, Any]:
    """A field of ours that official readers pass over: why a query ran."""
    if miss is None:
        return {}
    fields: dict[str, Any] = {"reason": miss.reason.value}
    if miss.change is not None:
        fields["tableName"] = miss.change.table_name
        fields["documentId"] = miss.change.document_id
        fields["writeSource"] = miss.change.write_source
    return {"cacheMiss": fields}


def _identity_type(identity: Identity) -> str:
    match identity:
        case Admin(acting_as) if acting_as is not None:
            return "member_acting_user"
        case Admin():
            return "instance_admin"
        case User():
            return "user"
        case System():
            return "system"
        case Anonymous() | Unknown():
            return "unknown"
