"""Module rows: a push replaces the set and leaves equal rows alone."""

from __future__ import annotations

from fenchel.database import Database
from fenchel.definitions import AnalyzedFunction, AnalyzedModule, encode_analyzed_module
from fenchel.model import Module, get_module, list_modules, replace_modules


def module(path: str, contents: str = "0", package: str = "p") -> Module:
    analysis = AnalyzedModule(functions=(AnalyzedFunction(name="list", udf_type="Query"),))
    return Module(
        path=path,
        source_package_id=package,
        environment="isolate",
        sha256=contents * 64,
        analyze_result=encode_analyzed_module(analysis),
    )


async def test_modules_are_found_by_path(database: Database) -> None:
    tx = database.begin()
    await replace_modules(tx, [module("b.js"), module("a.js")])
    await database.commit(tx)
    tx = database.begin()
    assert [m.path for m in await list_modules(tx)] == ["a.js", "b.js"]
    found = await get_module(tx, "a.js")
    assert found == module("a.js")
    assert found is not None
    assert found.analysis is not None
    assert found.analysis.find("list") is not None
    assert await get_module(tx, "c.js") is None


async def test_a_module_without_analysis_holds_no_functions(database: Database) -> None:
    tx = database.begin()
    chunk = Module(
        path="_deps/X.js",
        source_package_id="p",
        environment="isolate",
        sha256="0" * 64,
        analyze_result=None,
    )
    await replace_modules(tx, [chunk])
    found = await get_module(tx, "_deps/X.js")
    assert found is not None
    assert found.analysis is None


async def test_the_difference_names_what_came_and_went(database: Database) -> None:
    tx = database.begin()
    first = await replace_modules(tx, [module("a.js"), module("b.js")])
    assert (first.added, first.removed) == (("a.js", "b.js"), ())
    second = await replace_modules(tx, [module("b.js", "1"), module("c.js")])
    assert (second.added, second.removed) == (("b.js", "c.js"), ("a.js", "b.js"))
    third = await replace_modules(tx, [module("b.js", "1", "q"), module("c.js", package="q")])
    assert (third.added, third.removed) == ((), ())


async def test_an_equal_push_writes_nothing(database: Database) -> None:
    tx = database.begin()
    await replace_modules(tx, [module("a.js")])
    await database.commit(tx)
    tx = database.begin()
    await replace_modules(tx, [module("a.js")])
    assert tx.is_read_only


async def test_a_caller_depends_on_the_path_it_asked_for_only(database: Database) -> None:
    tx = database.begin()
    await replace_modules(tx, [module("a.js"), module("b.js")])
    await database.commit(tx)
    tx = database.begin()
    await get_module(tx, "a.js")
    token = database.token(tx)
    tx = database.begin()
    await replace_modules(tx, [module("a.js"), module("b.js", "1")])
    unrelated_ts = await database.commit(tx)
    assert database.refresh(token, unrelated_ts) is not None
    tx = database.begin()
    await replace_modules(tx, [module("b.js", "1")])
    assert database.refresh(token, await database.commit(tx)) is None
