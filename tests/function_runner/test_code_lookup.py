"""What is remembered must be what the transaction itself would have found, and a dependency of
it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from fenchel.database import Database, Transaction
from fenchel.definitions import (
    AnalyzedModule,
    FunctionPath,
    decode_function_path,
    encode_analyzed_module,
)
from fenchel.documents import Timestamp
from fenchel.errors import ConflictError
from fenchel.file_storage import MemoryFileStorage
from fenchel.function_runner import CodeSource, code_lookup
from fenchel.function_runner.code_lookup import CodeLookup
from fenchel.model import set_environment_variable
from fenchel.model.modules import Module, replace_modules
from fenchel.model.source_packages import describe_source_package, replace_source_package
from fenchel.model.udf_config import UdfConfig, set_udf_config
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime

PATH = decode_function_path("messages:list")


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await Database.open(MemoryPersistence(), Runtime())
    yield opened
    await opened.close()


@pytest.fixture
def lookup(database: Database) -> CodeLookup:
    return CodeLookup(database, CodeSource(MemoryFileStorage(), system_environment={}))


async def commit(database: Database, change: Callable[[Transaction], Awaitable[object]]) -> None:
    tx = database.begin()
    await change(tx)
    await database.commit(tx)


async def push(database: Database, content: bytes) -> None:
    async def change(tx: Transaction) -> None:
        analysis = encode_analyzed_module(AnalyzedModule(functions=()))
        package = describe_source_package(content, node_version=None)
        module = Module(
            path="messages.js",
            source_package_id=await replace_source_package(tx, package),
            environment="isolate",
            sha256=content.hex(),
            analyze_result=analysis,
        )
        await replace_modules(tx, [module])
        config = UdfConfig(
            server_version="1.48.0",
            import_phase_rng_seed=bytes(32),
            import_phase_unix_timestamp=1,
        )
        await set_udf_config(tx, config)

    await commit(database, change)


async def digest(database: Database, lookup: CodeLookup, ts: Timestamp | None = None) -> str | None:
    found = await lookup.find(database.begin(ts=ts), PATH)
    return None if found.code is None else found.code.package_digest


async def test_before_the_first_push_there_is_nothing(
    database: Database, lookup: CodeLookup
) -> None:
    found = await lookup.find(database.begin(), PATH)
    assert found.module is None
    assert found.code is None


async def test_an_answer_is_used_again_until_a_push(database: Database, lookup: CodeLookup) -> None:
    await push(database, b"1")
    first = await lookup.find(database.begin(), PATH)
    await commit(database, lambda tx: tx.user().insert("other", {}))
    assert await lookup.find(database.begin(), PATH) is first
    await push(database, b"2")
    assert await lookup.find(database.begin(), PATH) is not first


async def test_after_a_push_the_latest_modules_are_looked_up_ahead(
    database: Database, lookup: CodeLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(database, b"1")
    await lookup.find(database.begin(), decode_function_path("others:f"))
    await lookup.find(database.begin(), PATH)
    await push(database, b"2")
    loaded: list[FunctionPath] = []
    load = lookup._load

    async def noting_load(ts: Timestamp, path: FunctionPath) -> object:
        loaded.append(path)
        return await load(ts, path)

    monkeypatch.setattr(lookup, "_load", noting_load)
    monkeypatch.setattr(code_lookup, "_RENEWED_MAX", 1)
    await lookup.renew(database.begin())
    assert [path.module for path in loaded] == [PATH.module]
    assert await digest(database, lookup) is not None
    assert len(loaded) == 1


async def test_each_snapshot_has_its_own_code(database: Database, lookup: CodeLookup) -> None:
    await push(database, b"1")
    old_ts = database.latest_ts()
    old = await digest(database, lookup)
    await push(database, b"2")
    new = await digest(database, lookup)
    assert old != new
    assert await digest(database, lookup, old_ts) == old
    assert await digest(database, lookup) == new


async def test_environment_variables_decide_but_are_no_dependency(
    database: Database, lookup: CodeLookup
) -> None:
    await push(database, b"1")
    tx = database.begin()
    await lookup.find(tx, PATH)
    await commit(database, lambda other: set_environment_variable(other, "NAME", "value"))
    assert database.refresh(database.token(tx), database.latest_ts()) is not None
    found = await lookup.find(database.begin(), PATH)
    assert found.code is not None
    assert found.code.environment_variables == {"NAME": "value"}


@pytest.mark.parametrize("is_remembered", [False, True])
async def test_a_push_conflicts_with_a_mutation_that_ran_the_old_code(
    database: Database, lookup: CodeLookup, is_remembered: bool
) -> None:
    await push(database, b"1")
    if is_remembered:
        await lookup.find(database.begin(), PATH)
    tx = database.begin()
    await lookup.find(tx, PATH)
    await tx.user().insert("messages", {})
    await push(database, b"2")
    with pytest.raises(ConflictError):
        await database.commit(tx)
