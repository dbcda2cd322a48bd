"""Who gets a place for an action: callers, those whom actions call, and scheduled ones."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fenchel.auth import Anonymous, Identity, System
from fenchel.errors import FenchelError
from fenchel.udf import FunctionResult, UdfType
from tests.isolate.requests import CONTEXT, make_request
from tests.isolate.test_worker_pool import BUNDLE, SETTINGS, Bench, bench

ONE_PLACE = dataclasses.replace(
    SETTINGS, concurrent_actions_max=1, action_wait_seconds_max=0.05, action_seconds_max=30.0
)
# The first action ends when the one that it calls has ended; then the next.
WORKER = """
first = await_execution()
outcome(await_execution(), b'2')
outcome(first, b'1')
outcome(await_execution(), b'3')
receive()
"""


async def run(b: Bench, *, is_root: bool = True, identity: Identity | None = None) -> str:
    request = replace(
        make_request(UdfType.ACTION),
        context=replace(CONTEXT, is_root=is_root),
        identity=identity or Anonymous(),
    )
    callbacks: Any = None
    outcome = await b.pool.run_action(BUNDLE, request, callbacks, b.host)
    assert isinstance(outcome.result, FunctionResult)
    return outcome.result.value_json


async def test_called_actions_need_no_place_and_scheduled_ones_wait_for_theirs(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, WORKER, ONE_PLACE) as b, asyncio.timeout(30):
        # Patient, because the worker has to start first.
        caller = asyncio.create_task(run(b, identity=System()))
        while b.pool.statistics().running_actions == 0:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        scheduled = asyncio.create_task(run(b, identity=System()))
        with pytest.raises(FenchelError, match="limited to 1 concurrent actions") as caught:
            await run(b)
        assert "isolate.concurrent_actions_max" in caught.value.message
        assert not scheduled.done()
        assert await run(b, is_root=False) == "2"
        assert await caller == "1"
        assert await scheduled == "3"
