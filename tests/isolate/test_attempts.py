"""Who runs again, and where: neighbours of a turn that does not end, on scripted workers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from fenchel.errors import FenchelError
from fenchel.isolate import Deployment, WorkerPool
from fenchel.isolate.execution import LossCause, WorkerLost
from fenchel.runtime import Runtime
from fenchel.udf import ActionCallbacks, FunctionResult, UdfOutcome, UdfType
from tests.isolate.requests import make_request
from tests.isolate.test_worker_pool import BUNDLE, COUNT_STARTS, SETTINGS, bench

SPIN = """
def spin(id):
    os.pwrite(5, id.to_bytes(4, "little"), 0)
    while True:
        pass
"""
UNHURRIED = dataclasses.replace(SETTINGS, user_time_seconds_max=60.0, action_seconds_max=60.0)


async def until(is_so: Callable[[], bool]) -> None:
    clock = Runtime().clock
    while not is_so():
        await clock.sleep(0)


async def first_of(*tasks: asyncio.Task[UdfOutcome]) -> asyncio.Task[UdfOutcome]:
    """The one that has an outcome first; the others are given up."""
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    (first,) = done
    return first


@pytest.mark.parametrize("udf_type", [UdfType.QUERY, UdfType.MUTATION])
async def test_who_waits_for_the_endless_turn_of_another_runs_elsewhere(
    tmp_path: Path, udf_type: UdfType
) -> None:
    body = f"""{COUNT_STARTS}{SPIN}
first = await_execution()
if count_start() == 1:
    await_execution()
    spin(first)
outcome(first, b'2')
receive()
"""
    async with bench(tmp_path, body, UNHURRIED) as b:
        endless, other = (asyncio.create_task(b.run(udf_type)) for _ in range(2))
        assert await first_of(endless, other) is other
        assert other.result().result == FunctionResult("2")


async def test_who_gets_an_answer_while_another_computes_runs_elsewhere(tmp_path: Path) -> None:
    body = f"""{COUNT_STARTS}{SPIN}
calling = await_execution()
if count_start() == 1:
    send(67, calling, [[1, "1.0/runUdf"]], {{"udfType": "query", "name": "m:f", "args": {{}}}})
    spin(await_execution())
outcome(calling, b'2')
receive()
"""
    async with bench(tmp_path, body, UNHURRIED) as b:
        calling = asyncio.create_task(b.run())
        await b.host.nested_has_begun.wait()
        endless = asyncio.create_task(b.run())
        (worker,) = b.pool._transactions._workers
        await until(lambda: worker.is_stalled)
        assert not calling.done()
        b.host.nested_may_end.set()
        assert await first_of(endless, calling) is calling
        assert calling.result().result == FunctionResult("2")


async def test_an_action_runs_elsewhere_only_if_nothing_was_heard_of_it(tmp_path: Path) -> None:
    line = '{"level": "LOG", "messages": ["x"], "timestampMs": 1}'
    body = f"""{COUNT_STARTS}{SPIN}
first = await_execution()
if count_start() == 1:
    heard, unheard = await_execution(), await_execution()
    send(68, heard, [{line}])
    spin(first)
outcome(first, b'2')
receive()
"""
    async with bench(tmp_path, body, UNHURRIED) as b:
        tasks = [
            asyncio.create_task(
                b.pool.run_action(
                    BUNDLE, make_request(UdfType.ACTION), cast(ActionCallbacks, None), b.host
                )
            )
            for _ in range(3)
        ]
        assert await first_of(*tasks) is tasks[2]


async def test_workers_beside_endless_turns_are_bounded(tmp_path: Path) -> None:
    settings = dataclasses.replace(UNHURRIED, relief_workers_max=1, executions_per_worker_max=1)
    async with bench(tmp_path, f"{SPIN}\nspin(await_execution())", settings) as b:
        tasks = [asyncio.create_task(b.run()) for _ in range(4)]
        lane = b.pool._transactions
        await until(lambda: [w.is_stalled for w in lane._workers] == [True, True])
        statistics = b.pool.statistics()
        assert (statistics.running_transactions, statistics.waiting) == (2, 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_when_time_is_up_the_last_loss_decides_what_is_told() -> None:
    pool = WorkerPool(Runtime(), deployment=Deployment(name="d"))
    starved = pool._give_up(WorkerLost("too little time", LossCause.STARVED))
    assert starved.message.startswith("Function execution timed out")
    for cause, code in (
        (LossCause.MOVED, "WorkerOverloaded"),
        (LossCause.OUTSIDE, "workers die under a function"),
    ):
        with pytest.raises(FenchelError, match=code):
            pool._give_up(WorkerLost("no place", cause))


async def test_a_starved_evaluation_runs_again_with_more_time_by_the_clock(tmp_path: Path) -> None:
    body = f"""{COUNT_STARTS}
while True:
    type, id, fields = receive()
    if type == 1:
        send(66, id, {{"ok": True}})
    elif type == 3:
        kind = "starved" if count_start() == 1 else "success"
        outcome(id, str(json.loads(fields[0])["patience"]).encode(), kind=kind)
"""
    async with bench(tmp_path, body) as b:
        assert await b.pool.evaluate_schema(BUNDLE) == "4"
