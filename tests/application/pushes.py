"""Pushes of a golden app, step by step as the CLI does them."""

from __future__ import annotations

from typing import Any

import msgspec

from fenchel.application import (
    FinishPushRequest,
    StartPushRequest,
    StartPushResponse,
    WaitForSchemaRequest,
)
from fenchel.definitions import AnalyzedFunction, AnalyzedModule
from fenchel.values import Value
from tests.application.fakes import Backend, Ctx, FakeFunctionRunner
from tests.application.golden import golden_push


def with_modules(request: StartPushRequest, **fields: Any) -> StartPushRequest:
    definition = msgspec.structs.replace(request.app_definition, **fields)
    return msgspec.structs.replace(request, app_definition=definition)


def schema_json(*fields: str, table: str = "messages", index: tuple[str, ...] = ()) -> str:
    """A schema with one table of string fields."""
    document = {f: {"fieldType": {"type": "string"}, "optional": False} for f in fields}
    indexes = [{"indexDescriptor": "by_field", "fields": list(index)}] if index else []
    tables = [
        {
            "tableName": table,
            "indexes": indexes,
            "searchIndexes": [],
            "vectorIndexes": [],
            "documentType": {"type": "object", "value": document},
        }
    ]
    return msgspec.json.encode({"tables": tables, "schemaValidation": True}).decode()


def functions() -> FakeFunctionRunner:
    runner = FakeFunctionRunner()
    runner.analysis = {
        "messages.js": AnalyzedModule(
            functions=(AnalyzedFunction(name="list", udf_type="Query", args='{"type":"any"}'),)
        )
    }
    runner.schema_json = schema_json("body", index=("body",))

    @runner.mutation
    async def insert(ctx: Ctx, args: dict[str, Any]) -> Value:
        return await ctx.tx.user().insert("messages", args)

    return runner


def echo(response: StartPushResponse) -> dict[str, Any]:
    """What the CLI sends back: the response, through its own JSON."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(response))
    return decoded


async def wait(backend: Backend, start: StartPushResponse, **fields: Any) -> dict[str, Any]:
    body = {"schemaChange": echo(start)["schemaChange"], "timeoutMs": 10_000, **fields}
    request = msgspec.convert(body, WaitForSchemaRequest)
    status = await backend.application.deploy.wait_for_schema(request)
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(status))
    return decoded


async def finish(backend: Backend, start: StartPushResponse, **fields: Any) -> dict[str, Any]:
    request = msgspec.convert({"startPush": echo(start), **fields}, FinishPushRequest)
    response = await backend.application.deploy.finish_push(request)
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(response))
    return decoded


async def push(backend: Backend, request: StartPushRequest | None = None) -> dict[str, Any]:
    """A whole push, as the CLI does it."""
    start = await backend.application.deploy.start_push(request or golden_push())
    assert await wait(backend, start) == {"type": "complete"}
    return await finish(backend, start)
