"""The JSON inside frames: what a worker is told, and the strict shapes of what it may say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.frames import Frame, FrameType, ProtocolError
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import RealmKind, WhyFresh

PROTOCOL_VERSION = 1
SYSCALLS_PER_FRAME_MAX = 64

ExecutionKind = Literal[
    "query",
    "mutation",
    "action",
    "httpAction",
    "analyze",
    "schema",
    "authConfig",
    "appDefinition",
]
OutcomeKind = Literal[
    "success", "error", "timeout", "memory", "neverResolves", "system", "starved", "again"
]

_Count = Annotated[int, Meta(ge=0, le=2**53)]
_Milliseconds = Annotated[float, Meta(ge=0)]


class LogLimits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    lines: int
    line_bytes: int


class LoadHeader(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    key: str
    modules: tuple[str, ...]
    env: dict[str, str]
    import_seed: str
    import_unix_ms: int
    heap_mib: int = msgspec.field(name="heapMiB")
    buffer_mib: int = msgspec.field(name="bufferMiB")
    contexts_ahead: int
    contexts_per_isolate: int
    warm_realms_max: int
    warm_realm_bytes_max: int
    warm_after_executions: int
    is_app_bundle: bool
    log_limits: LogLimits


class ExecuteHeader(msgspec.Struct, kw_only=True, rename="camel"):
    """`bundle` is the number that the worker knows the bundle by, filled in when it is sent."""

    bundle: int = 0
    kind: ExecutionKind
    module: str
    function: str
    seed: str
    unix_ms: int
    request_id: str
    execution_id: str
    # Of processor time.
    user_timeout_ms: int
    # How many times as much time by the clock a turn may take.
    patience: int = 1
    is_fresh: bool


class _FromWorker(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Both ends are built together: a field that is not known is an error."""


class Ready(_FromWorker, frozen=True, kw_only=True):
    protocol: int
    node: str
    v8: str
    runtime_digest: str


class Loaded(_FromWorker, frozen=True, kw_only=True):
    ok: bool
    message: str = ""


class SnapshotResult(_FromWorker, frozen=True, kw_only=True):
    ok: bool
    message: str = ""


class WorkerLogLine(_FromWorker, frozen=True, kw_only=True):
    level: Literal["DEBUG", "ERROR", "WARN", "INFO", "LOG"]
    messages: list[str]
    timestamp_ms: _Milliseconds
    is_truncated: bool = False
    system_code: str | None = None


class WorkerError(_FromWorker, frozen=True, kw_only=True):
    message: str
    frames: list[str] = []
    data_json: str | None = None


class OutcomeHeader(_FromWorker, frozen=True, kw_only=True):
    """`consumed`: (query id, documents handed to user code in total, 1 if it saw the end).
    `answered_ahead`: how many of the calls that came with EXECUTE were made."""

    kind: OutcomeKind
    error: WorkerError | None = None
    log_lines: list[WorkerLogLine] = []
    observed_time: bool = False
    observed_randomness: bool = False
    env_read: list[str] = []
    consumed: list[tuple[_Count, _Count, Literal[0, 1]]] = []
    user_ms: _Milliseconds = 0.0
    heap_bytes: _Count = 0
    realm: RealmKind = RealmKind.FRESH
    why_fresh: WhyFresh | None = None
    answered_ahead: _Count = 0


class ResultKind(IntEnum):
    """What the payload of an answered system call is."""

    ERROR = 0
    TEXT = 1
    BYTES = 2


class Syscall(NamedTuple):
    id: int
    op: str
    args: bytes


class AnsweredCall(NamedTuple):
    """A call that the execution is expected to make in JavaScript turn `turn`, and its answer."""

    op: str
    args: bytes
    is_success: bool
    payload: bytes
    turn: int


class Outcome(NamedTuple):
    header: OutcomeHeader
    result: bytes


_T = TypeVar("_T")

_ready = msgspec.json.Decoder(Ready)
_loaded = msgspec.json.Decoder(Loaded)
_snapshot_result = msgspec.json.Decoder(SnapshotResult)
_outcome = msgspec.json.Decoder(OutcomeHeader)
_syscall_meta = msgspec.json.Decoder(list[tuple[_Count, str]])
_log_lines = msgspec.json.Decoder(list[WorkerLogLine])
_encoder = msgspec.json.Encoder()


# User code may log and throw half a surrogate pair, which JSON can carry and UTF-8 cannot. V8
# writes whole pairs as characters, so that every escape is a half.
_SURROGATE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def _decode(decoder: msgspec.json.Decoder[_T], text: bytes) -> _T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        repaired = _SURROGATE.sub(rb"\1\\ufffd", text)
        if repaired != text:
            return _decode(decoder, repaired)
        raise ProtocolError(f"bad JSON in a frame: {error}") from error


def _fields(frame: Frame, count: int) -> tuple[bytes, ...]:
    if len(frame.fields) != count:
        raise ProtocolError(f"frame type {frame.type} has {len(frame.fields)} fields, not {count}")
    return frame.fields


def decode_ready(frame: Frame) -> Ready:
    """Raises: ProtocolError, also for another protocol version."""
    ready = _decode(_ready, _fields(frame, 1)[0])
    if ready.protocol != PROTOCOL_VERSION:
        raise ProtocolError(f"worker speaks protocol {ready.protocol}, not {PROTOCOL_VERSION}")
    return ready


def decode_loaded(frame: Frame) -> Loaded:
    """Raises: ProtocolError."""
    return _decode(_loaded, _fields(frame, 1)[0])


def decode_syscalls(frame: Frame) -> list[Syscall]:
    """The calls of one JavaScript turn, in call order. Raises: ProtocolError."""
    if not frame.fields:
        raise ProtocolError("system calls without meta")
    meta = _decode(_syscall_meta, frame.fields[0])
    if not 1 <= len(meta) <= SYSCALLS_PER_FRAME_MAX or len(meta) != len(frame.fields) - 1:
        raise ProtocolError("system call meta does not match its arguments")
    return [Syscall(id, op, args) for (id, op), args in zip(meta, frame.fields[1:], strict=True)]


def decode_log(frame: Frame) -> list[WorkerLogLine]:
    """Raises: ProtocolError."""
    return _decode(_log_lines, _fields(frame, 1)[0])


def decode_outcome(frame: Frame) -> Outcome:
    """Raises: ProtocolError."""
    header, result = _fields(frame, 2)
    outcome = Outcome(_decode(_outcome, header), result)
    if outcome.header.kind == "error" and outcome.header.error is None:
        raise ProtocolError("an error outcome without error")
    return outcome


def decode_sync_call(frame: Frame) -> tuple[str, bytes]:
    """Operation and arguments. Raises: ProtocolError."""
    op, args = _fields(frame, 2)
    try:
        return op.decode(), args
    except UnicodeDecodeError as error:
        raise ProtocolError("operation is not UTF-8") from error


def decode_snapshot_result(frame: Frame) -> SnapshotResult:
    """Field 1 holds the snapshot if the result is ok. Raises: ProtocolError."""
    if frame.type != FrameType.SNAPSHOT:
        raise ProtocolError("the answer is no snapshot")
    result = _decode(_snapshot_result, _fields(frame, 2)[0])
    if result.ok and not frame.fields[1]:
        raise ProtocolError("an empty snapshot")
    return result


def decode_warm_script(frame: Frame) -> bytes:
    """The builder's answer, JSON for workers to read. Raises: ProtocolError."""
    if frame.type != FrameType.WARM_SCRIPT_BUILT:
        raise ProtocolError("the answer is no script for warm realms")
    return _fields(frame, 1)[0]


def encode_no_warm_script(reason: str) -> bytes:
    """What the builder would say of an app that cannot run in warm realms."""
    return _encoder.encode({"isProven": False, "reason": reason})


def load_header(bundle: CodeBundle, settings: IsolateSettings) -> LoadHeader:
    """What a worker or the snapshot builder is told about a bundle."""
    return LoadHeader(
        key=bundle.key,
        modules=bundle.modules,
        env=dict(bundle.environment_variables),
        import_seed=bundle.import_seed.hex(),
        import_unix_ms=bundle.import_unix_ms,
        heap_mib=settings.heap_mebibytes_max,
        buffer_mib=settings.array_buffer_mebibytes_max,
        contexts_ahead=settings.contexts_ahead if bundle.is_app else 0,
        contexts_per_isolate=settings.contexts_per_isolate_max,
        warm_realms_max=settings.warm_realms_max if bundle.is_app else 0,
        warm_realm_bytes_max=settings.warm_realm_bytes_max,
        warm_after_executions=settings.warm_after_executions,
        is_app_bundle=bundle.is_app,
        log_limits=LogLimits(lines=settings.log_lines_max, line_bytes=settings.log_line_bytes_max),
    )


def encode_json_bytes(value: Any) -> bytes:
    """Compact JSON of headers and plain results."""
    return _encoder.encode(value)


def encode_answered_calls(calls: Sequence[AnsweredCall]) -> list[bytes]:
    """The optional fields of EXECUTE: meta, then arguments and answer of each call."""
    if not calls:
        return []
    fields = [_encoder.encode([(call.op, int(call.is_success), call.turn) for call in calls])]
    for call in calls:
        fields += (call.args, call.payload)
    return fields


def encode_result_meta(meta: Sequence[tuple[int, int]]) -> bytes:
    """The meta field of RESULTS: (system call id, ResultKind)."""
    return _encoder.encode(meta)


def encode_error_payload(message: str, data_json: str | None) -> bytes:
    """What a rejected system call carries; `data_json` is Value JSON and goes in as it is."""
    data = f',"data":{data_json}' if data_json is not None else ""
    return b'{"message":' + _encoder.encode(message) + data.encode() + b"}"
