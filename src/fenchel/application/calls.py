"""What a caller hands to the application and what comes back: types only, no behaviour.

A failing function is a value (`ClientResult.is_success` false); failures of the system are raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import msgspec

from fenchel.auth import Identity
from fenchel.database import Token
from fenchel.documents import Timestamp
from fenchel.udf import HttpClient, HttpRequestHead, LogLine


class FunctionCaller(Enum):
    """Who started an execution; the words of the function log (deploy-protocol 3.4)."""

    SYNC_WORKER = "SyncWorker"
    HTTP_API = "HttpApi"
    TESTER = "Tester"
    HTTP_ENDPOINT = "HttpEndpoint"
    CRON = "Cron"
    SCHEDULER = "Scheduler"
    ACTION = "Action"


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call from outside.

    `path` is the text of the client (`messages:list`); `component` is "" for the root. `args_json`
    is JSON text of one object or of an array with one object. `request_id` is 16 lower-case hex
    digits.
    """

    path: str
    args_json: str
    identity: Identity
    caller: FunctionCaller
    request_id: str
    component: str = ""
    client_ip: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpActionCall:
    """One HTTP request for the app's router, and the client that sent it."""

    head: HttpRequestHead
    client: HttpClient
    identity: Identity
    request_id: str
    client_ip: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpActionError:
    """What a client may see of an HTTP action that failed before its response began.

    `code` is the whole text; `trace` is None where errors are hidden. `data_json` is the Value JSON
    of a ConvexError's data.
    """

    code: str
    trace: str | None
    data_json: str | None


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """The key under which a mutation takes effect at most once (client-protocol 3.10)."""

    session_id: str
    request_id: int


class ClientResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the client may see of one execution, already redacted.

    `value_json` is Value JSON of the result, "" after a failure. `error_message` is the complete
    text with its `[Request ID: …]` head, "" after a success. `error_data_json` is the Value JSON of
    a ConvexError's data.
    """

    is_success: bool
    value_json: str = ""
    error_message: str = ""
    error_data_json: str | None = None
    log_lines: tuple[LogLine, ...] = ()


class QueryRun(msgspec.Struct, frozen=True, kw_only=True):
    """A query's result at `ts`, valid as long as `token` can be refreshed.

    `journal` is an opaque text to hand in at the next run. `read_fingerprint` gives the SHA-256 of
    result and log lines without the request id, whose equals need not be sent again. `repeat` comes
    with a cached result of the present: it says whether an equal call by a caller as entitled may
    be given the same result now, and then counts as that call.
    `is_identity_free`: it would be the same for every other caller with the same rights.
    """

    result: ClientResult
    ts: Timestamp
    token: Token
    journal: str | None
    read_fingerprint: Callable[[], bytes]
    is_identity_free: bool
    repeat: Callable[[], bool] | None = None


class MutationRun(msgspec.Struct, frozen=True, kw_only=True):
    """`ts` is the commit timestamp; None if nothing was committed because the function failed."""

    result: ClientResult
    ts: Timestamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRun:
    result: ClientResult
