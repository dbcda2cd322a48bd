"""The native queries of the official CLI: what they return, who may call them, when they change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fenchel.application import EnvironmentChange
from fenchel.auth import Admin
from fenchel.values import Value
from tests.application.fakes import (
    Backend,
    Ctx,
    FakeFunctionRunner,
    admin,
    call,
    document_functions,
    running_backend,
)


def functions() -> FakeFunctionRunner:
    runner = document_functions()

    @runner.mutation
    async def patch(ctx: Ctx, args: dict[str, Any]) -> Value:
        await ctx.tx.user().patch(args["id"], {"text": args["text"]})
        return None

    return runner


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(functions()) as backend:
        yield backend


async def ask(backend: Backend, path: str, args: dict[str, Value] | None = None) -> Any:
    module, name = path.split(":")
    return await backend.query(name, args, module=f"_system/{module}", identity=admin())


async def test_only_admins_may_ask(backend: Backend) -> None:
    run = await backend.application.run_query(call("default", module="_system/cli/tables"))
    assert "Could not find public function for '_system/cli/tables'" in run.result.error_message


async def test_an_unknown_system_function_is_not_found(backend: Backend) -> None:
    run = await backend.application.run_query(
        call("nothing", module="_system/cli/tables", identity=admin())
    )
    assert "Could not find public function" in run.result.error_message


async def test_tables_are_listed_by_name(backend: Backend) -> None:
    for table in ("zoo", "apple"):
        await backend.mutate("insert", {"table": table, "text": "x"})
    assert await ask(backend, "cli/tables:default", {"paginationOpts": {}}) == {
        "page": [{"name": "apple"}, {"name": "zoo"}],
        "isDone": True,
        "continueCursor": "end",
    }


async def test_a_table_is_read_page_by_page(backend: Backend) -> None:
    for text in "abc":
        await backend.mutate("insert", {"table": "t", "text": text})
    seen: list[str] = []
    cursor: Value = None
    while True:
        options: Value = {"cursor": cursor, "numItems": 2.0}
        args: dict[str, Value] = {"table": "t", "order": "desc", "paginationOpts": options}
        page = await ask(backend, "cli/tableData:default", args)
        seen += [document["text"] for document in page["page"]]
        cursor = page["continueCursor"]
        if page["isDone"]:
            break
    assert seen == ["c", "b", "a"]


async def test_an_unknown_table_is_an_empty_page(backend: Backend) -> None:
    args: dict[str, Value] = {
        "table": "nothing",
        "order": "asc",
        "paginationOpts": {"cursor": None, "numItems": 5.0},
    }
    page = await ask(backend, "cli/tableData:default", args)
    assert (page["page"], page["isDone"]) == ([], True)


async def test_scheduled_functions_can_be_read_as_a_table(backend: Backend) -> None:
    args: dict[str, Value] = {
        "table": "_scheduled_functions",
        "order": "asc",
        "paginationOpts": {"cursor": None, "numItems": 5.0},
    }
    assert (await ask(backend, "cli/tableData:default", args))["page"] == []


@pytest.mark.parametrize(
    ("path", "args"),
    [
        ("cli/tableData:default", {"table": "t", "paginationOpts": {"numItems": 0.0}}),
        (
            "cli/tableData:default",
            {"table": "t", "order": "up", "paginationOpts": {"numItems": 1.0}},
        ),
        ("cli/tableData:default", {"table": "t"}),
        ("cli/tableSize:default", {}),
        ("cli/queryEnvironmentVariables:get", {"name": 1.0}),
    ],
)
async def test_wrong_arguments_are_function_errors(
    backend: Backend, path: str, args: dict[str, Value]
) -> None:
    module, name = path.split(":")
    run = await backend.application.run_query(
        call(name, args, module=f"_system/{module}", identity=admin())
    )
    assert "ArgumentValidationError" in run.result.error_message


async def test_the_size_of_a_table_is_a_number(backend: Backend) -> None:
    await backend.mutate("insert", {"table": "t", "text": "a"})
    assert await ask(backend, "cli/tableSize:default", {"tableName": "t"}) == 1.0
    assert await ask(backend, "cli/tableSize:default", {"tableName": "nothing"}) == 0.0


async def test_watching_a_table_changes_with_every_change_of_it(backend: Backend) -> None:
    id_text = await backend.mutate("insert", {"table": "t", "text": "a"})
    watch = call("default", {"tableName": "t"}, module="_system/cli/queryTable", identity=admin())
    first = await backend.application.run_query(watch)
    subscription = backend.application.subscribe(first.token, lambda _: None)
    await backend.mutate("insert", {"table": "other", "text": "a"})
    assert subscription.is_valid
    await backend.mutate("patch", {"id": id_text, "text": "b"})
    assert not subscription.is_valid
    second = await backend.application.run_query(watch)
    assert second.read_fingerprint() != first.read_fingerprint()


async def test_functions_are_described(backend: Backend) -> None:
    described = await ask(backend, "cli/modules:apiSpec")
    assert {
        "identifier": "app.js:insert",
        "functionType": "Mutation",
        "visibility": {"kind": "public"},
        "args": {"type": "any"},
        "returns": {"type": "any"},
    } in described


async def test_variables_are_read_by_name(backend: Backend) -> None:
    args: dict[str, Value] = {"name": "A"}
    assert await ask(backend, "cli/queryEnvironmentVariables:get", args) is None
    await backend.application.environment.update([EnvironmentChange(name="A", value="1")])
    found = await ask(backend, "cli/queryEnvironmentVariables:get", args)
    assert found == {"name": "A", "value": "1"}


async def test_addresses_components_and_schemas(backend: Backend) -> None:
    assert await ask(backend, "cli/convexUrl:cloudUrl") == "http://127.0.0.1:3210"
    assert await ask(backend, "frontend/components:list") == []
    assert await ask(backend, "frontend/getSchemas:default") == {}


async def test_system_queries_run_through_run_function_too(backend: Backend) -> None:
    run = await backend.application.run_function(
        call("cloudUrl", module="_system/cli/convexUrl", identity=Admin())
    )
    assert run.result.value_json == '"http://127.0.0.1:3210"'
