"""Bundles are built once for all who ask together, kept within a size, the oldest goes first."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.errors import FenchelError, bad_request
from fenchel.function_runner.code_source import DeployedCode
from fenchel.function_runner.metrics import FunctionRunnerMetrics
from fenchel.function_runner.module_cache import ModuleCache
from fenchel.isolate import CodeBundle


def code(name: str, **environment: str) -> DeployedCode:
    return DeployedCode(
        package_digest=name,
        storage_key=name,
        environment_variables=environment,
        import_seed=bytes(32),
        import_unix_ms=0,
    )


class Loader:
    """Makes bundles of 100 bytes; waits for `gate`, fails if told so."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_broken = False

    async def load(self, code: DeployedCode) -> CodeBundle:
        self.loads.append(code.package_digest)
        await self.gate.wait()
        if self.is_broken:
            raise bad_request("InvalidModules", "broken")
        return CodeBundle(
            key=code.key,
            script=bytes(100),
            source_map=b"",
            modules=(),
            environment_variables={},
            import_seed=bytes(32),
            import_unix_ms=0,
        )


def cache_of(loader: Loader, bytes_max: int = 250) -> ModuleCache:
    return ModuleCache(loader.load, FunctionRunnerMetrics(), bytes_max=bytes_max)


async def test_a_second_look_up_builds_nothing() -> None:
    loader = Loader()
    cache = cache_of(loader)
    assert await cache.get(code("a")) is await cache.get(code("a"))
    assert loader.loads == ["a"]


async def test_another_environment_is_another_bundle() -> None:
    loader = Loader()
    cache = cache_of(loader)
    await cache.get(code("a"))
    await cache.get(code("a", NAME="value"))
    assert loader.loads == ["a", "a"]


async def test_those_who_miss_together_share_one_build() -> None:
    loader = Loader()
    loader.gate.clear()
    cache = cache_of(loader)
    tasks = [asyncio.create_task(cache.get(code("a"))) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    loader.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is results[2]
    assert loader.loads == ["a"]


async def test_the_least_recently_used_goes_first() -> None:
    loader = Loader()
    cache = cache_of(loader)
    for name in ("a", "b", "a", "c", "a", "b"):
        await cache.get(code(name))
        cache.check_invariants()
    assert loader.loads == ["a", "b", "c", "b"]
    assert cache.size_bytes == 200


async def test_a_bundle_larger_than_the_cache_is_still_served() -> None:
    cache = cache_of(Loader(), bytes_max=10)
    await cache.get(code("a"))
    assert cache.size_bytes == 100


async def test_a_failed_build_is_told_to_all_and_tried_again() -> None:
    loader = Loader()
    loader.is_broken = True
    cache = cache_of(loader)
    with pytest.raises(FenchelError, match="broken"):
        await cache.get(code("a"))
    loader.is_broken = False
    await cache.get(code("a"))
    assert loader.loads == ["a", "a"]


async def test_closing_stops_a_running_build() -> None:
    loader = Loader()
    loader.gate.clear()
    cache = cache_of(loader)
    task = asyncio.create_task(cache.get(code("a")))
    await asyncio.sleep(0)
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await task
