"""A request of no particular function, for tests that are about something else."""

from __future__ import annotations

from fenchel.auth import Anonymous
from fenchel.definitions import FunctionPath
from fenchel.udf import ExecutionContext, UdfRequest, UdfType

CONTEXT = ExecutionContext(request_id="0" * 16, execution_id="e")


def make_request(udf_type: UdfType = UdfType.QUERY) -> UdfRequest:
    return UdfRequest(
        path=FunctionPath("", "m.js", "f"),
        udf_type=udf_type,
        args_json="[{}]",
        identity=Anonymous(),
        context=CONTEXT,
        seed=bytes(32),
        unix_ms=0,
    )
