"""Which bundles get a script for warm realms: those in use, once, and not more than are kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.warm_scripts import WarmScripts
from fenchel.runtime import SystemClock
from fenchel.runtime.settings import IsolateSettings
from tests.isolate.requests import make_request
from tests.isolate.test_worker_pool import BUNDLE, SETTINGS, bench

AFTER = 3


class SetClock(SystemClock):
    """A clock that stands still."""

    now_seconds = 0.0

    def monotonic(self) -> float:
        return self.now_seconds


class World:
    """Scripts that are built at once, and which bundles they were asked for."""

    def __init__(self, warm_realms_max: int = 2, after: int = AFTER) -> None:
        settings = replace(
            IsolateSettings(), warm_realms_max=warm_realms_max, warm_after_executions=after
        )
        self.clock = SetClock()
        self.built: list[str] = []
        self.scripts = WarmScripts(settings, self.clock, self._build)

    async def _build(self, bundle: CodeBundle) -> bytes:
        self.built.append(bundle.key)
        return f"script of {bundle.key}".encode()

    async def use(self, bundle: CodeBundle, times: int = 1) -> bytes | None:
        """What the last of some executions finds."""
        found = None
        for _ in range(times):
            found = self.scripts.find(bundle)
            await asyncio.gather(*self.scripts._builds)
        return found


def bundle(key: str = "a", *, snapshot: bytes | None = b"s", is_app: bool = True) -> CodeBundle:
    return CodeBundle(
        key=key,
        script=b"",
        source_map=b"",
        modules=(),
        environment_variables={},
        import_seed=bytes(32),
        import_unix_ms=0,
        snapshot=snapshot,
        is_app=is_app,
    )


async def test_a_bundle_in_use_gets_its_script_once() -> None:
    world = World()
    assert await world.use(bundle(), AFTER) is None
    assert await world.use(bundle()) == b"script of a"
    await world.use(bundle(), 2 * AFTER)
    assert world.built == ["a"]


async def test_a_bundle_that_is_called_now_and_then_gets_none() -> None:
    world = World()
    for _ in range(4):
        await world.use(bundle(), AFTER - 1)
        world.clock.now_seconds += 61
    assert not world.built


async def test_bundles_are_counted_apart() -> None:
    world = World()
    await world.use(bundle("a"), AFTER - 1)
    await world.use(bundle("b"), AFTER)
    assert world.built == ["b"]


async def test_none_are_built_where_none_can_be_used() -> None:
    for world in (World(warm_realms_max=0), World(after=0)):
        await world.use(bundle(), 2 * AFTER)
        assert not world.built
    world = World()
    await world.use(bundle(snapshot=None), 2 * AFTER)
    await world.use(bundle(is_app=False), 2 * AFTER)
    assert not world.built


async def test_only_those_used_last_are_kept() -> None:
    world = World()
    await world.use(bundle("first"), AFTER)
    for number in range(32):
        await world.use(bundle(str(number)))
    assert await world.use(bundle("first")) is None


class NotingBuilder:
    """In place of the builder that a pool shares with whoever builds snapshots."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def build_warm_script(self, bundle: CodeBundle) -> bytes:
        self.asked.set()
        return b""


async def test_scripts_for_warm_realms_come_from_the_builder_of_snapshots(tmp_path: Path) -> None:
    settings = replace(SETTINGS, warm_realms_max=1, warm_after_executions=1)
    builder: Any = NotingBuilder()
    body = "outcome(await_execution(), b'1')\nreceive()"
    async with bench(tmp_path, body, settings, builder) as b, asyncio.timeout(30):
        bundle = replace(BUNDLE, snapshot=b"s")
        await b.pool.run_udf(bundle, make_request(), b.database.begin(), b.host)
        await builder.asked.wait()
        assert b.pool.snapshot_builder is builder
