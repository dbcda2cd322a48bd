"""Answers about the function, the request and the transaction (execution 2.8)."""

from __future__ import annotations

import json

from fenchel.auth.identity import Anonymous
from fenchel.database import Database
from fenchel.definitions import FunctionPath
from fenchel.isolate.messages import encode_json_bytes
from fenchel.isolate.metadata import (
    Deployment,
    function_metadata,
    request_metadata,
    transaction_metrics,
)
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from fenchel.udf import ExecutionContext, UdfRequest, UdfType

REQUEST = UdfRequest(
    path=FunctionPath("", "a/m.js", "f"),
    udf_type=UdfType.MUTATION,
    args_json="[{}]",
    identity=Anonymous(),
    context=ExecutionContext(request_id="r", execution_id="e", client_ip="127.0.0.1"),
    seed=bytes(32),
    unix_ms=0,
)


def test_a_function_is_named_as_developers_write_it() -> None:
    assert json.loads(function_metadata(REQUEST)) == {"name": "a/m:f", "componentPath": ""}


def test_a_request_is_described_without_its_token() -> None:
    assert json.loads(request_metadata(REQUEST)) == {
        "ip": "127.0.0.1",
        "userAgent": None,
        "requestId": "r",
        "scheduledFunctionId": None,
        "authToken": None,
    }


def test_the_size_of_a_deployment_is_its_class() -> None:
    deployment = json.loads(encode_json_bytes(Deployment(name="d")))
    assert deployment == {"name": "d", "region": None, "class": "s256"}


async def test_metrics_show_what_is_used_and_what_remains() -> None:
    database = await Database.open(MemoryPersistence(), Runtime())
    transaction = database.begin()
    await transaction.user().insert("t", {})
    transaction.usage.record_scheduled(10)
    transaction.usage.record_file_write(5)
    metrics = json.loads(transaction_metrics(transaction.usage))
    assert metrics["documentsWritten"] == {"used": 1, "remaining": 15_999}
    assert metrics["functionsScheduled"] == {"used": 1, "remaining": 999}
    assert metrics["scheduledFunctionArgsBytes"] == {"used": 10, "remaining": (16 << 20) - 10}
    assert metrics["documentsRead"]["used"] == 0
    assert metrics["filesWritten"] == {"used": 1, "remaining": 99}
    assert metrics["fileWriteBytes"] == {"used": 5, "remaining": (16 << 20) - 5}
    assert (metrics["filesRead"]["used"], metrics["fileReadBytes"]["used"]) == (0, 0)
    await database.close()
