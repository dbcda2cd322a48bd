"""What goes into one execution of a user-defined function and what comes out: types only."""

from fenchel.udf.http_action import (
    HeaderPairs,
    HttpClient,
    HttpExchange,
    HttpRequestHead,
    HttpResponseHead,
)
from fenchel.udf.log_line import LogLevel, LogLine
from fenchel.udf.outcome import (
    FunctionResult,
    JsError,
    JsFrame,
    QueryJournal,
    StopCause,
    UdfOutcome,
)
from fenchel.udf.realm import FreshCause, RealmKind, WhyFresh
from fenchel.udf.request import ActionCallbacks, ExecutionContext, UdfRequest, UdfType
from fenchel.udf.storage import FileAccess, FileMetadata, FileSource

__all__ = [
    "ActionCallbacks",
    "ExecutionContext",
    "FileAccess",
    "FileMetadata",
    "FileSource",
    "FreshCause",
    "FunctionResult",
    "HeaderPairs",
    "HttpClient",
    "HttpExchange",
    "HttpRequestHead",
    "HttpResponseHead",
    "JsError",
    "JsFrame",
    "LogLevel",
    "LogLine",
    "QueryJournal",
    "RealmKind",
    "StopCause",
    "UdfOutcome",
    "UdfRequest",
    "UdfType",
    "WhyFresh",
]
