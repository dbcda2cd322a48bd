"""What remains of pushes that nobody finishes: nothing (deploy-protocol 2.13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fenchel.application.deploy_messages import PushModule
from fenchel.database import ROOT, SchemaTables
from fenchel.errors import FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime, ShiftingClock
from tests.application.fakes import Backend, running_backend
from tests.application.golden import golden_push
from tests.application.pushes import finish, functions, push, schema_json, wait, with_modules


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend(functions(), is_started=True) as backend:
        yield backend


@pytest.fixture
async def moved() -> AsyncIterator[tuple[Backend, ShiftingClock]]:
    runtime = Runtime()
    clock = ShiftingClock(runtime.clock)
    runtime = replace(runtime, clock=clock)
    async with running_backend(functions(), runtime=runtime, is_started=True) as backend:
        yield backend, clock


async def prepared(backend: Backend) -> tuple[bool, set[str]]:
    """Whether a schema is pending, and the indexes of its table."""
    tx = backend.database.begin()
    table = tx.find_table(ROOT, "messages")
    indexes = () if table is None else tx.metadata.indexes[table.tablet_id]
    names = {index.name for index in indexes} - {"by_id", "by_creation_time"}
    return await SchemaTables(tx).get_pending() is not None, names


async def test_an_idle_push_is_rolled_back(moved: tuple[Backend, ShiftingClock]) -> None:
    backend, clock = moved
    start = await backend.application.deploy.start_push(golden_push())
    assert await wait(backend, start) == {"type": "complete"}
    assert await prepared(backend) == (True, {"by_field"})
    tx, is_gone = backend.database.begin(), asyncio.Event()
    await SchemaTables(tx).get_pending()
    backend.database.subscribe(backend.database.token(tx), lambda _: is_gone.set())
    clock.advance_to(clock.now_ns() + 16 * 60 * 10**9)
    await is_gone.wait()
    assert await prepared(backend) == (False, set())
    with pytest.raises(FenchelError, match="UnknownPush"):
        await finish(backend, start)
    assert await push(backend)


async def test_nothing_of_it_is_in_the_storage(backend: Backend) -> None:
    start = await backend.application.deploy.start_push(golden_push())
    assert await backend.file_storage.list_keys() == []
    await wait(backend, start)
    await finish(backend, start)
    assert len(await backend.file_storage.list_keys()) == 1


async def test_a_restart_forgets_it() -> None:
    persistence = MemoryPersistence()
    async with running_backend(functions(), persistence=persistence, is_started=True) as first:
        await push(first)
        first.runner.schema_json = schema_json("body", "title", index=("title",))
        other = PushModule(path="schema.js", source="another schema")
        await first.application.deploy.start_push(with_modules(golden_push(), schema=other))
        assert (await prepared(first))[0]
    async with running_backend(functions(), persistence=persistence, is_started=True) as second:
        assert await prepared(second) == (False, {"by_field"})


async def test_replaced_code_goes_after_an_hour() -> None:
    clock = ShiftingClock(Runtime().clock)
    runtime = replace(Runtime(), clock=clock)
    async with running_backend(functions(), runtime=runtime, is_started=True) as backend:
        await push(backend)
        (first,) = await backend.file_storage.list_keys()
        request = golden_push()
        kept = tuple(m for m in request.app_definition.changed_modules if m.path != "settings.js")
        await push(backend, with_modules(request, changed_modules=kept))
        assert len(await backend.file_storage.list_keys()) == 2
        clock.advance_to(clock.now_ns() + 3_601 * 10**9)
        await push(backend, with_modules(request, changed_modules=kept))
        assert first not in await backend.file_storage.list_keys()
