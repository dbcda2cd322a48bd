"""Which component answers a request (execution 7.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Literal, cast

import pytest

from fenchel.database import Database
from fenchel.definitions import (
    AnalyzedHttpRoute,
    AnalyzedModule,
    ComponentInstance,
    HttpRoute,
    encode_analyzed_module,
)
from fenchel.errors import FenchelError
from fenchel.file_storage import MemoryFileStorage
from fenchel.function_runner import CodeSource
from fenchel.function_runner.code_lookup import CodeLookup
from fenchel.function_runner.http_routing import find_http_target
from fenchel.model import (
    Module,
    SourcePackage,
    UdfConfig,
    replace_components,
    replace_modules,
    replace_source_package,
    set_udf_config,
)
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime

APP = ComponentInstance(
    path="", definition_path="", name="", args={}, environment={}, mounts=(), children=()
)
PACKAGE = SourcePackage(storage_key="k", sha256=bytes(32), package_size=1)
CONFIG = UdfConfig(
    server_version="1.48.0", import_phase_rng_seed=bytes(32), import_phase_unix_timestamp=0
)
Method = Literal["GET", "POST"]


def child(path: str, prefix: str | None, *children: ComponentInstance) -> ComponentInstance:
    name = path.rpartition("/")[2]
    return replace(
        APP, path=path, definition_path="c", name=name, http_prefix=prefix, children=children
    )


async def deploy(
    database: Database, app: ComponentInstance, routes: Mapping[str, tuple[str, ...]]
) -> None:
    """`routes` by component: `GET /path`."""
    tx = database.begin()
    await replace_components(tx, app, {"": "{}", "c": "{}"})
    for component, texts in routes.items():
        package_id = await replace_source_package(tx, PACKAGE, namespace=component)
        await set_udf_config(tx, CONFIG, namespace=component)
        await replace_modules(tx, [http_module(texts, package_id)], namespace=component)
    await database.commit(tx)


def http_module(routes: tuple[str, ...], package_id: str) -> Module:
    analyzed = []
    for text in routes:
        method, path = text.split(" ")
        route = HttpRoute(path=path, method=cast("Method", method))
        analyzed.append(AnalyzedHttpRoute(route=route))
    module = AnalyzedModule(functions=(), http_routes=tuple(analyzed))
    return Module(
        path="http.js",
        source_package_id=package_id,
        environment="isolate",
        sha256="",
        analyze_result=encode_analyzed_module(module),
    )


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    database = await Database.open(MemoryPersistence(), Runtime())
    yield database
    await database.close()


async def find(database: Database, path: str, method: str = "GET") -> tuple[str, str] | str:
    """The component and the path in it, or the code of the error."""
    lookup = CodeLookup(database, CodeSource(MemoryFileStorage(), system_environment={}))
    try:
        target = await find_http_target(database.begin(), lookup, method=method, path=path)
    except FenchelError as error:
        return error.code
    return target.function.component, target.path


async def test_the_most_specific_route_answers(database: Database) -> None:
    inner = child("x/inner", "/in/")
    app = replace(APP, children=(child("x", "/x/", inner), child("deep", "/x/deep/")))
    await deploy(
        database,
        app,
        {
            "": ("GET /x/exact", "GET /x/deep/er/*", "GET /x/deep/*", "GET /*"),
            "x": ("GET /a", "POST /p/*"),
            "x/inner": ("GET /b",),
            "deep": (),
        },
    )
    assert await find(database, "/x/a") == ("x", "/a")
    assert await find(database, "/x/exact") == ("", "/x/exact")
    assert await find(database, "/x/exact", "HEAD") == ("", "/x/exact")
    assert await find(database, "/x/exact", "POST") == ("x", "/exact")
    assert await find(database, "/x/in/b") == ("x/inner", "/b")
    assert await find(database, "/x/in/unknown") == ("x/inner", "/unknown")
    assert await find(database, "/x/p/q", "POST") == ("x", "/p/q")
    assert await find(database, "/x/deep/er/a") == ("", "/x/deep/er/a")
    # A route and a mount of the same length: the route is asked first.
    assert await find(database, "/x/deep/a") == ("", "/x/deep/a")
    assert await find(database, "/x/deep/a", "POST") == ("deep", "/a")
    assert await find(database, "/x") == ("", "/x")
    assert await find(database, "/xy/a") == ("", "/xy/a")


async def test_the_prefix_of_the_app_is_for_its_own_routes(database: Database) -> None:
    app = replace(APP, http_prefix="/api/", children=(child("x", "/x/"),))
    await deploy(database, app, {"": ("GET /a", "GET /p/*"), "x": ("GET /a",)})
    assert await find(database, "/api/a") == ("", "/a")
    assert await find(database, "/api/p/q") == ("", "/p/q")
    assert await find(database, "/api/unknown") == ("", "/unknown")
    assert await find(database, "/a") == "NoMatchingRoutes"
    assert await find(database, "/x/a") == ("x", "/a")


async def test_an_app_without_routes_may_have_mounts(database: Database) -> None:
    app = replace(APP, children=(child("x", "/x/"), child("y", "/y/")))
    await deploy(database, app, {"x": ("GET /a",)})
    assert await find(database, "/x/a") == ("x", "/a")
    assert await find(database, "/a") == "HttpActionsNotEnabled"
    assert await find(database, "/y/a") == "HttpActionsNotEnabled"


async def test_a_component_without_a_prefix_is_not_reached(database: Database) -> None:
    app = replace(APP, children=(child("x", None, child("x/y", "/y/")),))
    await deploy(database, app, {"x": ("GET /a",), "x/y": ("GET /a",)})
    assert await find(database, "/y/a") == "HttpActionsNotEnabled"


async def test_an_unmounted_component_does_not_answer(database: Database) -> None:
    app = replace(APP, children=(child("x", "/x/"),))
    await deploy(database, app, {"x": ("GET /a",)})
    await deploy(database, APP, {})
    assert await find(database, "/x/a") == "HttpActionsNotEnabled"


async def test_nothing_was_ever_pushed(database: Database) -> None:
    assert await find(database, "/") == "HttpActionsNotEnabled"
