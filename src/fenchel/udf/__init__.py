"""What goes into one execution of a user-defined function and what comes out: types only."""

from fenchel.udf.log_line import LogLevel, LogLine
from fenchel.udf.outcome import FunctionResult, JsError, JsFrame, QueryJournal, UdfOutcome
from fenchel.udf.request import ActionCallbacks, ExecutionContext, UdfRequest, UdfType

__all__ = [
    "ActionCallbacks",
    "ExecutionContext",
    "FunctionResult",
    "JsError",
    "JsFrame",
    "LogLevel",
    "LogLine",
    "QueryJournal",
    "UdfOutcome",
    "UdfRequest",
    "UdfType",
]
