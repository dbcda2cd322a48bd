"""Which function user code means: names, references to children, handles (execution 2.11, 6.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fenchel.database import Database
from fenchel.definitions import (
    AnalyzedFunction,
    AnalyzedModule,
    ComponentInstance,
    FunctionPath,
    Visibility,
    encode_analyzed_module,
)
from fenchel.errors import FenchelError
from fenchel.file_storage import MemoryFileStorage
from fenchel.function_runner import CodeSource
from fenchel.function_runner.function_names import DeployedFunctionNames
from fenchel.isolate import Address
from fenchel.model import Module, replace_components, replace_function_handles, replace_modules
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime

APP = ComponentInstance(
    path="", definition_path="", name="", args={}, environment={}, mounts=(), children=()
)
INNER = replace(APP, path="hits/inner", definition_path="counter", name="inner")
HITS = replace(APP, path="hits", definition_path="counter", name="hits", children=(INNER,))
RUN = FunctionPath("hits", "a/b.js", "run")


def module() -> Module:
    functions = (
        AnalyzedFunction(name="run", udf_type="Query", visibility=Visibility("public")),
        AnalyzedFunction(name="hidden", udf_type="Query", visibility=Visibility("internal")),
    )
    return Module(
        path="a/b.js",
        source_package_id="",
        environment="isolate",
        sha256="",
        analyze_result=encode_analyzed_module(AnalyzedModule(functions=functions)),
    )


async def mount(database: Database, *children: ComponentInstance) -> None:
    tx = database.begin()
    await replace_components(tx, replace(APP, children=children), {"": "{}", "counter": "{}"})
    await database.commit(tx)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    database = await Database.open(MemoryPersistence(), Runtime())
    await mount(database, HITS)
    tx = database.begin()
    for component in ("hits", "hits/inner"):
        await replace_modules(tx, [module()], namespace=component)
    await replace_function_handles(tx, [RUN], now_ns=0)
    await database.commit(tx)
    yield database
    await database.close()


@pytest.fixture
def names(database: Database) -> DeployedFunctionNames:
    return DeployedFunctionNames(database, CodeSource(MemoryFileStorage(), system_environment={}))


async def test_a_name_wins_and_stays_in_the_component(names: DeployedFunctionNames) -> None:
    address = Address(name="x:f", reference="_reference/function/c:g")
    assert await names.resolve_address(None, address, "hits") == FunctionPath("hits", "x.js", "f")


async def test_a_function_reference_stays_in_the_component(names: DeployedFunctionNames) -> None:
    address = Address(reference="_reference/function/c:g")
    assert str(await names.resolve_address(None, address, "hits")) == "c.js:g in hits"


@pytest.mark.parametrize(
    ("component", "child", "expected"), [("", "hits", "hits"), ("hits", "inner", "hits/inner")]
)
async def test_a_child_reference_leads_one_level_down(
    names: DeployedFunctionNames, component: str, child: str, expected: str
) -> None:
    address = Address(reference=f"_reference/childComponent/{child}/a/b/run")
    path = await names.resolve_address(None, address, component)
    assert path == FunctionPath(expected, "a/b.js", "run")


async def test_what_was_looked_up_is_a_read_of_the_caller(
    names: DeployedFunctionNames, database: Database
) -> None:
    tx = database.begin()
    address = Address(reference="_reference/childComponent/hits/a/b/run")
    await names.resolve_address(tx, address, "")
    token = database.token(tx)
    await mount(database)
    assert database.refresh(token, database.latest_ts()) is None
    with pytest.raises(FenchelError, match='Child component "hits" not found'):
        await names.resolve_address(None, address, "")


async def test_handles_lead_to_their_functions_from_everywhere(
    names: DeployedFunctionNames,
) -> None:
    address = Address(reference="_reference/childComponent/hits/a/b/run")
    handle = await names.create_function_handle(None, address, "")
    again = Address(function_handle=handle)
    assert await names.resolve_address(None, again, "hits/inner") == RUN
    assert await names.create_function_handle(None, again, "hits/inner") == handle


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address(), "Missing required argument 'name'"),
        (Address(reference="_reference/childComponent/x/m/f"), 'Child component "x" not found'),
        (
            Address(reference="_reference/childComponent/hits/a/b/hidden"),
            "does not export [a, b, hidden]",
        ),
        (Address(reference="_reference/childComponent/hits/a-/b"), "does not export [a-, b]"),
        (Address(reference="_reference/childComponent/hits/run"), "does not export [run]"),
        (Address(reference="_reference/childComponent/inner/a/b/run"), "not found"),
        (Address(reference="api.m.f"), "Couldn't resolve api.m.f"),
        (Address(function_handle="function://h"), "does not exist in this deployment"),
    ],
)
async def test_what_leads_nowhere_is_a_developer_error(
    names: DeployedFunctionNames, address: Address, text: str
) -> None:
    with pytest.raises(FenchelError) as caught:
        await names.resolve_address(None, address, "")
    assert caught.value.is_developer_error
    assert text in caught.value.message
