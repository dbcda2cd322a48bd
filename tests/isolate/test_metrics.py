"""Each measure moves for its reason, and for no other (execution 7.7)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from fenchel.errors import FenchelError
from fenchel.udf import FunctionResult
from tests.isolate.pretended_lane import PretendedSupply, lane_of, reserve, settle
from tests.isolate.test_worker_pool import COUNT_STARTS, Bench, bench


def waited(supply: PretendedSupply) -> tuple[float | None, float | None]:
    """How many queries began, and how long they had waited in all."""
    name = "fenchel_udf_queue_seconds"
    labels = {"udf_type": "Query"}
    read = supply.registry.get_sample_value
    return read(f"{name}_count", labels), read(f"{name}_sum", labels)


def outstanding(supply: PretendedSupply, state: str) -> float | None:
    labels = {"state": state, "udf_type": "Query"}
    return supply.registry.get_sample_value("fenchel_outstanding_functions", labels)


async def test_the_wait_is_measured_and_who_waits_is_counted() -> None:
    lane, supply = await lane_of(1, executions_per_worker_max=1)
    async with AsyncExitStack() as late:
        async with AsyncExitStack() as first:
            await reserve(lane, first)
            assert waited(supply) == (1, 0.0)
            waiting = asyncio.create_task(reserve(lane, late), name="second")
            await settle()
            assert (outstanding(supply, "running"), outstanding(supply, "queued")) == (1, 1)
            supply.clock.seconds = 3.0
        await waiting
        assert waited(supply) == (2, 3.0)
        assert (outstanding(supply, "running"), outstanding(supply, "queued")) == (1, 0)
    assert outstanding(supply, "running") == 0


async def test_who_is_refused_has_not_waited() -> None:
    lane, supply = await lane_of(1, executions_per_worker_max=1, queue_count_max=0)
    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        with pytest.raises(FenchelError):
            await reserve(lane, stack)
    assert waited(supply) == (1, 0.0)
    assert outstanding(supply, "queued") is None


async def test_who_gives_up_is_not_outstanding_any_more() -> None:
    lane, supply = await lane_of(1, executions_per_worker_max=1)
    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        waiting = asyncio.create_task(reserve(lane, stack), name="second")
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (outstanding(supply, "running"), outstanding(supply, "queued")) == (1, 0)
    assert waited(supply) == (1, 0.0)


def count(b: Bench, name: str, **labels: str) -> float | None:
    """What the metrics say, None for what never moved."""
    return b.registry.get_sample_value(f"fenchel_{name}", labels)


async def test_a_worker_that_is_killed_costs_an_attempt_and_is_told_apart(tmp_path: Path) -> None:
    body = f"""{COUNT_STARTS}
id = await_execution()
if count_start() == 1:
    os.kill(os.getpid(), 9)
outcome(id, b'1')
receive()
"""
    async with bench(tmp_path, body) as b:
        assert (await b.run()).result == FunctionResult("1")
        assert count(b, "udf_attempts_lost_total", cause="outside") == 1
        assert count(b, "recreate_isolate_total", reason="killed") == 1
        assert count(b, "recreate_isolate_total", reason="system_error") is None


@pytest.mark.parametrize(
    ("kind", "reason"), [("timeout", "user_timeout"), ("memory", "out_of_memory")]
)
async def test_a_worker_that_was_abused_ends_for_that(
    tmp_path: Path, kind: str, reason: str
) -> None:
    body = f"while True: outcome(await_execution(), b'', kind='{kind}')"
    async with bench(tmp_path, body) as b:
        while count(b, "recreate_isolate_total", reason=reason) is None:
            await b.run()
        for other in {"user_timeout", "out_of_memory", "system_error", "killed"} - {reason}:
            assert count(b, "recreate_isolate_total", reason=other) is None
        assert count(b, "udf_attempts_lost_total", cause="hung") is None


async def test_code_that_cannot_be_loaded_is_not_loaded(tmp_path: Path) -> None:
    body = "_, id, _ = receive()\nsend(66, id, {'ok': False, 'message': 'bad'})\nreceive()"
    async with bench(tmp_path, body) as b:
        with pytest.raises(FenchelError, match="cannot be loaded: bad"):
            await b.run()
        assert count(b, "bundle_load_seconds_count", status="error") == 1
        assert count(b, "bundle_load_seconds_count", status="success") is None
