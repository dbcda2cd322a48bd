"""Actions: their callbacks, their lines, their errors (execution 2.12, 5.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fenchel.errors import FenchelError
from fenchel.model import list_unfinished
from fenchel.runtime import Runtime
from fenchel.values import Value
from tests.application.fakes import (
    Backend,
    Ctx,
    FakeFunctionRunner,
    UserCodeError,
    admin,
    call,
    running_backend,
    user,
)


def functions() -> FakeFunctionRunner:
    runner = FakeFunctionRunner()

    @runner.mutation
    async def insert(ctx: Ctx, args: dict[str, Any]) -> Value:
        return await ctx.tx.user().insert("t", {"text": args["text"]})

    @runner.mutation
    async def broken(ctx: Ctx, args: dict[str, Any]) -> Value:
        raise UserCodeError("inside")

    @runner.query
    async def count(ctx: Ctx, args: dict[str, Any]) -> Value:
        return float(await ctx.tx.user().count("t"))

    @runner.query
    async def whoami(ctx: Ctx, args: dict[str, Any]) -> Value:
        return ctx.identity()

    @runner.action
    async def insert_twice(ctx: Ctx, args: dict[str, Any]) -> Value:
        ctx.log("first")
        await ctx.run_mutation("insert", {"text": "a"})
        ctx.log("second")
        await ctx.run_mutation("insert", {"text": "b"})
        return await ctx.run_query("count", {})

    @runner.action
    async def ask(ctx: Ctx, args: dict[str, Any]) -> Value:
        return await ctx.run_query("whoami", {})

    @runner.action
    async def call_broken(ctx: Ctx, args: dict[str, Any]) -> Value:
        try:
            return await ctx.run_mutation("broken", {})
        except FenchelError as error:
            return error.message if error.is_developer_error else "a failure of the system"

    @runner.action
    async def schedule_and_fail(ctx: Ctx, args: dict[str, Any]) -> Value:
        await ctx.schedule("insert", {"text": "x"}, ctx.request.unix_ms / 1_000 + 60)
        raise UserCodeError("afterwards")

    return runner


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(functions()) as backend:
        yield backend


async def test_each_callback_is_a_transaction_of_its_own(backend: Backend) -> None:
    run = await backend.application.run_action(call("insert_twice"))
    assert run.result.value_json == "2.0"
    assert [line.pretty for line in run.result.log_lines] == ["[LOG] 'first'", "[LOG] 'second'"]


async def test_lines_of_actions_reach_the_log_once_as_they_happen(backend: Backend) -> None:
    await backend.application.run_action(call("insert_twice"))
    page = await backend.application.function_log.stream(0.5, is_structured=False)
    seen = [(entry["kind"], entry["identifier"], entry["logLines"]) for entry in page.entries]
    assert seen == [
        ("Progress", "app:insert_twice", ["[LOG] 'first'"]),
        ("Completion", "app:insert", []),
        ("Progress", "app:insert_twice", ["[LOG] 'second'"]),
        ("Completion", "app:insert", []),
        ("Completion", "app:count", []),
        ("Completion", "app:insert_twice", []),
    ]
    action = page.entries[-1]
    children = page.entries[1], page.entries[3], page.entries[4]
    assert {child["parentExecutionId"] for child in children} == {action["executionId"]}
    assert {child["caller"] for child in children} == {"Action"}
    assert {entry["requestId"] for entry in page.entries} == {action["requestId"]}


async def test_callees_see_the_caller(backend: Backend) -> None:
    ann = await backend.application.run_action(call("ask", identity=user("ann")))
    nobody = await backend.application.run_action(call("ask"))
    assert ann.result.value_json != nobody.result.value_json == '""'


async def test_errors_of_callees_can_be_caught_without_request_id(backend: Backend) -> None:
    run = await backend.application.run_action(call("call_broken"))
    assert run.result.value_json == r'"Uncaught Error: inside\n"'


async def test_redaction_hides_the_errors_of_callees() -> None:
    settings = Runtime().settings
    redacting = replace(settings, application=replace(settings.application, redact_errors=True))
    async with running_backend(functions(), runtime=Runtime(settings=redacting)) as backend:
        run = await backend.application.run_action(call("call_broken"))
        assert run.result.value_json == '"Server Error"'


async def test_what_an_action_scheduled_stays_when_it_fails(backend: Backend) -> None:
    run = await backend.application.run_action(call("schedule_and_fail"))
    assert not run.result.is_success
    assert len(await list_unfinished(backend.database.begin(), limit=None)) == 1


@pytest.mark.parametrize(
    ("name", "result"),
    [("count", "0.0"), ("insert_twice", "2.0"), ("call_broken", r'"Uncaught Error: inside\n"')],
)
async def test_run_function_takes_any_type(backend: Backend, name: str, result: str) -> None:
    run = await backend.application.run_function(call(name, identity=admin()))
    assert run.result.value_json == result


async def test_run_function_commits_mutations(backend: Backend) -> None:
    run = await backend.application.run_function(call("insert", {"text": "a"}, identity=admin()))
    assert run.result.is_success
    assert await backend.query("count") == 1.0


async def test_run_function_says_that_a_function_is_unknown(backend: Backend) -> None:
    run = await backend.application.run_function(call("nothing", identity=admin()))
    assert "Could not find function for 'app:nothing'" in run.result.error_message


async def test_a_read_only_admin_key_changes_nothing(backend: Backend) -> None:
    read_only = replace(admin(), is_read_only=True)
    for name in ("insert", "insert_twice"):
        with pytest.raises(FenchelError, match="Forbidden"):
            await backend.application.run_function(call(name, {"text": "a"}, identity=read_only))
    run = await backend.application.run_function(call("count", identity=read_only))
    assert run.result.value_json == "0.0"
