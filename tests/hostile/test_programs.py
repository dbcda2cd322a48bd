"""Programs that want out, or want everything: each ends with an answer, and leaves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fenchel.udf import FunctionResult, JsError, UdfOutcome
from tests.function_runner.test_in_process_function_runner import value_of
from tests.hostile.arena import (
    IMPATIENT,
    Arena,
    Program,
    programs_of,
    running_arena,
    running_programs,
    text_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena() -> AsyncIterator[Arena]:
    async with running_arena(IMPATIENT) as running:
        await running.remember_memory()
        yield running


def mostly_slow(programs: list[Program]) -> list[Any]:
    """Every sixth in the everyday suite, the others in the long one."""
    return [
        pytest.param(program, marks=[] if number % 6 == 0 else [pytest.mark.slow])
        for number, program in enumerate(programs)
    ]


def found_nothing(ended: object) -> bool:
    """An error, or the word for having found nothing."""
    if not isinstance(ended, UdfOutcome):
        return False
    if isinstance(ended.result, FunctionResult):
        return ended.result.value_json == '"nothing"'
    return isinstance(ended.result, JsError)


@pytest.mark.parametrize("program", programs_of("escapes"), ids=str)
async def test_escapes(arena: Arena, program: Program) -> None:
    ended = await arena.run(program)
    assert found_nothing(ended), text_of(ended)[:1000]
    await arena.check_unharmed()


async def test_an_escape_by_import() -> None:
    async with running_programs(IMPATIENT, has_imports=True) as app:
        arena = Arena(app, value_of(await app.query("probe:world")))
        for program in programs_of("imports"):
            ended = await arena.run(program)
            assert found_nothing(ended), text_of(ended)[:1000]
            await arena.check_unharmed()


@pytest.mark.parametrize("program", programs_of("calls"), ids=str)
async def test_calls(arena: Arena, program: Program) -> None:
    ended = await arena.run(program)
    assert found_nothing(ended), text_of(ended)[:1000]
    await arena.check_unharmed()


@pytest.mark.parametrize("program", programs_of("tampering"), ids=str)
async def test_tampering(arena: Arena, program: Program) -> None:
    ended = await arena.run(program)
    assert isinstance(ended, UdfOutcome), ended
    await arena.check_unharmed()


@pytest.mark.parametrize("program", programs_of("results"), ids=str)
async def test_results(arena: Arena, program: Program) -> None:
    ended = await arena.run(program)
    assert isinstance(ended, UdfOutcome), ended
    await arena.check_unharmed()


@pytest.mark.parametrize("program", mostly_slow(programs_of("time")), ids=str)
async def test_time(arena: Arena, program: Program) -> None:
    ended = await arena.run(program)
    assert isinstance(ended, UdfOutcome), ended
    await arena.check_unharmed()


@pytest.mark.parametrize("program", mostly_slow(programs_of("memory")), ids=str)
async def test_memory(arena: Arena, program: Program) -> None:
    ended = await arena.run(program)
    assert isinstance(ended, UdfOutcome), ended
    await arena.check_unharmed()


async def test_the_next_one_was_answered_soon(arena: Arena) -> None:
    arena.check_answers_were_soon()


async def test_memory_comes_back(arena: Arena) -> None:
    await arena.check_memory_came_back()
