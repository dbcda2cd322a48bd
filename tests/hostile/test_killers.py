"""What is known to take a process with it: costs one worker at most, and says who and why."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fenchel.udf import JsError, UdfOutcome
from tests.hostile.arena import (
    MEMORY,
    PATIENT,
    Arena,
    Program,
    programs_of,
    running_arena,
    text_of,
)

TIMEOUT = "Function execution timed out (maximum duration: 6s)"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena() -> AsyncIterator[Arena]:
    async with running_arena(PATIENT) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("program", programs_of("killers"), ids=str)
async def test_killers(arena: Arena, program: Program, caplog: pytest.LogCaptureFixture) -> None:
    """Who needs longer than the time limit to use the memory up is stopped by that."""
    await arena.outlive_the_abused()
    caplog.set_level(logging.INFO, logger="fenchel.isolate.worker_process")
    ended = await arena.run(program)
    assert isinstance(ended, UdfOutcome), ended
    assert isinstance(ended.result, JsError)
    if ended.result.message == MEMORY:
        assert f"at {program.path}" in ended.result.pretty
    else:
        assert ended.result.message == TIMEOUT
    await arena.check_unharmed()
    ends = [line for line in caplog.messages if line.startswith("isolate worker ended")]
    # One that was abused is replaced when it has nothing to do: that costs nobody anything.
    assert len([line for line in ends if "it is not needed any more" not in line]) <= 1


@pytest.mark.parametrize("name", ["growingMap", "webAssemblyMemories"])
async def test_a_killer_that_has_the_time_runs_out_of_memory(arena: Arena, name: str) -> None:
    ended = await arena.run(Program(path=f"killers:{name}", kind="query"))
    assert isinstance(ended, UdfOutcome)
    assert text_of(ended).startswith(f"{MEMORY}\n    at killers:{name}")
    await arena.check_unharmed()
