"""Ready workers: one spare, replaced when it is taken or dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

from fenchel.errors import FenchelError, internal_error
from fenchel.isolate.code_bundle import CodeBundle
from fenchel.isolate.worker import Worker
from fenchel.isolate.worker_supply import WorkerSupply
from fenchel.runtime import Runtime
from tests.isolate.test_worker_pool import BUNDLE


class PretendedWorker:
    """The part of a worker and of its process that the supply looks at."""

    def __init__(self, on_death: Callable[[Worker], None]) -> None:
        self.is_alive = True
        self.is_buried = False
        self.loaded: list[str] = []
        self.process = self
        self._on_death = on_death

    def kill(self, reason: str) -> None:
        self.is_alive = False
        self._on_death(cast(Worker, self))

    async def preload(self, bundle: CodeBundle) -> None:
        if bundle.key == "broken":
            raise internal_error("a bundle cannot be loaded")
        self.loaded.append(bundle.key)

    async def wait_dead(self) -> None:
        self.is_buried = True


class Bench:
    """A supply and the workers that it started; the first `failures` starts fail."""

    def __init__(self, failures: int) -> None:
        self.started: list[PretendedWorker] = []
        self._failures = failures
        self.supply = WorkerSupply(self._start, Runtime().clock)

    async def _start(self, on_death: Callable[[Worker], None]) -> Worker:
        if self._failures > 0:
            self._failures -= 1
            raise internal_error("no process")
        self.started.append(PretendedWorker(on_death))
        return cast(Worker, self.started[-1])

    async def take(self, deaths: list[Worker] | None = None) -> PretendedWorker:
        on_death = (deaths if deaths is not None else []).append
        return cast(PretendedWorker, await self.supply.take(on_death))


@asynccontextmanager
async def bench(failures: int = 0) -> AsyncIterator[Bench]:
    made = Bench(failures)
    made.supply.start()
    try:
        yield made
    finally:
        await made.supply.close()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_worker_that_is_taken_is_replaced() -> None:
    async with bench() as b:
        assert await b.take() is not await b.take()
        await settle()
        assert len(b.started) == 3


async def test_its_taker_is_told_of_its_death() -> None:
    async with bench() as b:
        deaths: list[Worker] = []
        worker = await b.take(deaths)
        worker.kill("test")
        assert deaths == [cast(Worker, worker)]
        assert cast(Worker, worker) not in b.supply.workers()


async def test_a_spare_that_dies_is_replaced() -> None:
    async with bench() as b:
        await settle()
        b.started[0].kill("test")
        assert await b.take() is b.started[1]
        assert b.started[0].is_buried


async def test_a_start_that_fails_is_tried_again() -> None:
    async with bench(failures=1) as b:
        assert await b.take() is b.started[0]


async def test_closing_ends_all_workers_and_tells_nobody() -> None:
    async with bench() as b:
        deaths: list[Worker] = []
        await b.take(deaths)
        await settle()
    assert all(worker.is_buried for worker in b.started)
    assert deaths == []


def bundle(key: str) -> CodeBundle:
    return replace(BUNDLE, key=key)


async def test_spares_have_the_code_that_was_deployed_last() -> None:
    async with bench() as b:
        await settle()
        for key in ("old", "new", "newer"):
            await b.supply.warm(bundle(key))
        assert (await b.take()).loaded == ["old", "new", "newer"]
        await settle()
        assert (await b.take()).loaded == ["new", "newer"]


async def test_code_that_cannot_be_loaded_keeps_no_worker_away() -> None:
    async with bench() as b:
        await settle()
        with pytest.raises(FenchelError, match="cannot be loaded"):
            await b.supply.warm(bundle("broken"))
        assert [(await b.take()).loaded for _ in range(3)] == [[], [], []]
