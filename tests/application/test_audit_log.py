"""`log.audit`: one line for every call, cached or not, with what is known of that call."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from msgspec.structs import replace

from fenchel.application.audit_log import describe_actor
from fenchel.auth import Admin, Anonymous
from fenchel.values import Value
from tests.application.fakes import (
    Backend,
    Ctx,
    FakeFunctionRunner,
    UserCodeError,
    call,
    document_functions,
    running_backend,
)

LINE = '{"what":"seen","request":{"$var":"requestId"},"more":[{"$var":"convexActor"}]}'


def functions() -> FakeFunctionRunner:
    runner = document_functions()

    @runner.query
    async def look(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.outcome["audit_lines"] = (LINE,)
        return None

    @runner.mutation
    async def fail(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.outcome["audit_lines"] = (LINE,)
        raise UserCodeError("no")

    return runner


def entries(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == "fenchel.audit"]


async def look(backend: Backend, request_id: str) -> None:
    run = await backend.application.run_query(replace(call("look"), request_id=request_id))
    assert run.repeat is None


async def test_cached_answers_write_lines_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fenchel.audit")
    async with running_backend(functions()) as backend:
        for request_id in ("1" * 16, "2" * 16):
            await look(backend, request_id)
    first, second = entries(caplog)
    assert first["body"] == {"what": "seen", "request": "1" * 16, "more": [None]}
    assert (second["body"]["request"], second["function"]) == ("2" * 16, "app:look")


async def test_a_failure_is_written_down_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fenchel.audit")
    async with running_backend(functions()) as backend:
        await backend.application.run_mutation(call("fail"))
    assert [entry["function"] for entry in entries(caplog)] == ["app:fail"]


def test_only_admins_are_actors() -> None:
    assert describe_actor(Anonymous()) is None
    assert describe_actor(Admin()) == {"type": "admin", "actingAs": None}
