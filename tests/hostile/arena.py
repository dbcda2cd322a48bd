"""A server for hostile programs, and what must hold after each of them."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fenchel.errors import FenchelError
from fenchel.isolate.spawn import read_resident_bytes
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import IsolateSettings
from fenchel.udf import FunctionResult, JsError, UdfOutcome
from tests.function_runner.harness import App, bundled_app, running_app
from tests.function_runner.test_in_process_function_runner import value_of

PROGRAMS = Path(__file__).parent / "programs"
MEBIBYTE = 1 << 20
# Of each answer, whatever else the machine does; and of nearly all.
ANSWER_SECONDS_MAX = 20.0
ANSWER_SECONDS_USUAL = 2.0
PROGRAM_SECONDS_MAX = 45.0
GROWTH_BYTES_MAX = 50 * MEBIBYTE
ROUNDS_BEFORE = 15

MEMORY = "JavaScript execution ran out of memory (maximum memory usage: 64 MB)"
IMPATIENT = IsolateSettings(
    worker_count=1,
    user_time_seconds_max=0.5,
    hang_grace_seconds=0.5,
    system_time_seconds_max=10.0,
    action_seconds_max=1.0,
    # Workers that stood in for others are gone before memory is measured.
    relief_seconds=1.0,
)
PATIENT = IsolateSettings(worker_count=1, user_time_seconds_max=6.0)

# Paths of the machine and names from inside the worker; none belongs into a result.
_HOST_TEXT = re.compile(
    r"/(?:work|tmp|root|home|usr|opt|proc|etc/(?!passwd))\b|isolate-worker|isolated_vm|node_modules/"
    r"nodejs|node:internal|\bfile://"
)

_KINDS = {"program": "query", "writing": "mutation", "acting": "action"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One exported function of a file in `programs/`."""

    path: str
    kind: str

    def __str__(self) -> str:
        return self.path.partition(":")[2]


def programs_of(module: str) -> list[Program]:
    text = (PROGRAMS / f"{module}.ts").read_text()
    found = re.findall(r"^export const (\w+) = (\w+)\(", text, re.MULTILINE)
    return [Program(path=f"{module}:{name}", kind=_KINDS[kind]) for name, kind in found]


@dataclass
class Arena:
    """A running app with its world before anything hostile ran."""

    app: App
    world: Any
    resident_bytes: int = 0
    answer_seconds: list[float] = field(default_factory=list)

    async def run(self, program: Program) -> UdfOutcome | FenchelError:
        """How the program ended, in time, without a word about the host."""
        async with asyncio.timeout(PROGRAM_SECONDS_MAX):
            try:
                ended: UdfOutcome | FenchelError = await getattr(self.app, program.kind)(
                    program.path
                )
            except FenchelError as error:
                ended = error
        check_says_nothing_of_the_host(ended)
        return ended

    async def check_unharmed(self) -> None:
        """The next execution comes in time and finds the world as it was."""
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            assert value_of(await self.app.query("probe:clean")) == "clean"
        self.answer_seconds.append(clock() - asked_at)
        if value_of(await self.app.query("probe:world")) != self.world:
            raise AssertionError("the next execution sees a changed world")

    def check_answers_were_soon(self) -> None:
        """All but one in twenty, which may have met a pause of the machine."""
        late = [seconds for seconds in self.answer_seconds if seconds > ANSWER_SECONDS_USUAL]
        assert len(late) <= max(1, len(self.answer_seconds) // 20), late

    async def remember_memory(self) -> None:
        """What is held before anything hostile runs: with a worker of actions, and all that a
        worker comes to hold by running harmless code for a while.
        """
        value_of(await self.app.action("probe:cleanAction"))
        for _ in range(ROUNDS_BEFORE):
            await self.warm_up()
        self.resident_bytes = self.measure_resident_bytes()

    async def check_memory_came_back(self) -> None:
        """Backend and workers hold no more than 50 MiB above what they held before."""
        deadline = asyncio.get_running_loop().time() + 20
        while (grown := self.measure_resident_bytes() - self.resident_bytes) > GROWTH_BYTES_MAX:
            assert asyncio.get_running_loop().time() < deadline, f"{grown >> 20} MiB are kept"
            await self.warm_up()

    async def outlive_the_abused(self) -> None:
        """Until workers that were abused are replaced: nobody in them is blamed for their death."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while any(worker._abuse for worker in self.app.pool._supply.workers()):
                await self.warm_up()

    async def warm_up(self) -> None:
        """Enough executions for each worker to have thrown away an isolate."""
        for _ in range(60):
            value_of(await self.app.query("probe:clean"))

    def measure_resident_bytes(self) -> int:
        gc.collect()
        pids = [worker.process.pid for worker in self.app.pool._supply.workers()]
        return sum(map(read_resident_bytes, pids))


def check_says_nothing_of_the_host(ended: UdfOutcome | FenchelError) -> None:
    found = _HOST_TEXT.search(text_of(ended))
    assert found is None, f"{found}: {text_of(ended)[:2000]}"


def text_of(ended: UdfOutcome | FenchelError) -> str:
    if isinstance(ended, FenchelError):
        return ended.message
    lines = "\n".join(line.pretty for line in ended.log_lines)
    if isinstance(ended.result, JsError):
        return f"{ended.result.pretty}\n{ended.result.data_json}\n{lines}"
    assert isinstance(ended.result, FunctionResult)
    return f"{ended.result.value_json}\n{lines}"


def running_programs(
    settings: IsolateSettings, *, has_imports: bool = False
) -> AbstractAsyncContextManager[App]:
    """An app of all programs that can run in warm realms, or of those in `imports.ts` too."""
    modules = tuple(
        module for module in bundled_app(PROGRAMS) if has_imports or module.path != "imports.js"
    )
    return running_app(Runtime(settings=Settings(isolate=settings)), modules)


@asynccontextmanager
async def running_arena(settings: IsolateSettings) -> AsyncIterator[Arena]:
    async with running_programs(settings) as app:
        value_of(await app.query("probe:clean"))
        arena = Arena(app, value_of(await app.query("probe:world")))
        assert arena.world["count"] > 2000
        yield arena
