"""Who gets which worker, and when: reservations against a supply of pretended workers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from fenchel.errors import ErrorKind, FenchelError
from fenchel.isolate.metrics import WorkerEnd
from fenchel.isolate.worker import Worker
from fenchel.isolate.worker_lane import Crowd, Reservation, WorkerLane
from tests.isolate.pretended_lane import (
    ANY,
    LIMITS,
    PretendedSupply,
    lane_of,
    reserve,
    settle,
)

ALONE = replace(ANY, is_alone=True)
AGAIN = replace(ANY, is_again=True)
NESTED = replace(ANY, is_nested=True)
LONG = replace(ANY, is_long=True)


async def test_the_least_busy_worker_is_chosen() -> None:
    lane, _ = await lane_of(2)
    async with AsyncExitStack() as stack:
        assert [await reserve(lane, stack) for _ in range(4)] == [0, 1, 0, 1]
        assert lane.active_count == 4
    assert lane.active_count == 0


async def test_among_equals_the_one_that_has_the_bundle_is_chosen() -> None:
    lane, supply = await lane_of(2)
    supply.taken[1].loaded = "b"
    async with AsyncExitStack() as stack:
        assert await reserve(lane, stack) == 1


async def test_beyond_the_limit_callers_wait_in_order() -> None:
    lane, _ = await lane_of(1)
    order: list[str] = []

    async def caller(name: str) -> None:
        async with lane.reserve(ANY):
            order.append(name)

    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        await reserve(lane, stack)
        tasks = [asyncio.create_task(caller(name)) for name in "abc"]
        await settle()
        assert lane.waiting_count == 3
        assert order == []
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"]


async def test_a_wish_to_be_alone_is_met_although_others_keep_coming() -> None:
    lane, _ = await lane_of(1)
    events: list[str] = []

    async def caller(name: str, wish: Reservation) -> None:
        async with lane.reserve(wish) as worker:
            events.append(f"{name} with {worker.reservation_count - 1}")
            await settle()

    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        tasks = [asyncio.create_task(caller("alone", ALONE))]
        await settle()
        tasks += [asyncio.create_task(caller("later", ANY))]
        await settle()
        assert events == []
    await asyncio.gather(*tasks)
    assert events == ["alone with 0", "later with 0"]


async def test_a_nested_call_passes_queue_and_limit() -> None:
    lane, _ = await lane_of(1)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await reserve(lane, stack)
        waiting = asyncio.create_task(reserve(lane, stack))
        await settle()
        assert await reserve(lane, stack, NESTED) == 0
        waiting.cancel()
        await settle()
        assert lane.waiting_count == 0


async def test_who_lost_its_worker_waits_first_in_line_and_longer() -> None:
    lane, _ = await lane_of(1, queue_wait_seconds_max=0.01, queue_count_max=1)
    async with AsyncExitStack() as late, AsyncExitStack() as stack:
        for _ in range(2):
            await reserve(lane, stack)
        new = asyncio.create_task(reserve(lane, late))
        await settle()
        again = asyncio.create_task(reserve(lane, late, AGAIN))
        with pytest.raises(FenchelError, match="ExpiredInQueue"):
            await new
        assert not again.done()
        await stack.aclose()
        assert await again == 0


async def test_a_worker_that_computes_gets_nothing_new_and_is_relieved() -> None:
    lane, supply = await lane_of(1)
    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        supply.taken[0].is_stalled = True
        assert [await reserve(lane, stack) for _ in range(2)] == [1, 1]


async def test_relief_is_bounded() -> None:
    lane, supply = await lane_of(1)
    async with AsyncExitStack() as stack:
        for number in range(2):
            assert await reserve(lane, stack) == number
            supply.taken[number].is_stalled = True
        waiting = asyncio.create_task(reserve(lane, stack))
        await settle()
        assert (len(supply.taken), lane.waiting_count) == (2, 1)
        waiting.cancel()
        await settle()


async def test_who_waits_is_served_once_it_is_known_that_a_worker_computes() -> None:
    lane, supply = await lane_of(1)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await reserve(lane, stack)
        waiting = asyncio.create_task(reserve(lane, stack))
        await settle()
        supply.taken[0].is_stalled = True
        lane.relieve(0.0)
        assert await waiting == 1


async def test_relief_ends_some_time_after_it_was_needed_last() -> None:
    lane, supply = await lane_of(1)
    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        supply.taken[0].is_stalled = True
        lane.relieve(100.0)
        async with AsyncExitStack() as relieved:
            assert await reserve(lane, relieved) == 1
            supply.taken[0].is_stalled = False
        await settle()
        lane.retire_idle(100.0 + LIMITS.relief_seconds - 1)
        assert len(supply.alive) == 2
        lane.retire_idle(100.0 + LIMITS.relief_seconds)
        assert supply.alive == [supply.taken[0]]


async def lane_with_relief() -> tuple[WorkerLane, PretendedSupply]:
    """One worker and one that relieves it, both free."""
    lane, supply = await lane_of(1)
    async with AsyncExitStack() as held_up:
        await reserve(lane, held_up)
        supply.taken[0].is_stalled = True
        assert await reserve(lane, held_up) == 1
    supply.taken[0].is_stalled = False
    return lane, supply


async def test_relief_that_nobody_needs_gets_nothing_short() -> None:
    async with AsyncExitStack() as stack:
        lane, supply = await lane_with_relief()
        assert [await reserve(lane, stack) for _ in range(2)] == [0, 0]
        assert await reserve(lane, stack, NESTED) == 0
        waiting = asyncio.create_task(reserve(lane, stack))
        await settle()
        assert lane.waiting_count == 1
        supply.taken[0].is_stalled = True
        lane.relieve(0.0)
        assert await waiting == 1


async def test_relief_takes_what_computes_for_long_and_what_it_leaves_no_room_for() -> None:
    async with AsyncExitStack() as stack:
        lane, _ = await lane_with_relief()
        assert await reserve(lane, stack) == 0
        assert await reserve(lane, stack, LONG) == 1
        assert await reserve(lane, stack) == 0

    async with AsyncExitStack() as stack:
        lane, _ = await lane_with_relief()
        assert await reserve(lane, stack, LONG) == 0
        assert [await reserve(lane, stack) for _ in range(2)] == [1, 1]

    async with AsyncExitStack() as stack:
        lane, _ = await lane_with_relief()
        assert await reserve(lane, stack, ALONE) == 0
        assert await reserve(lane, stack) == 1


async def test_workers_without_work_end_and_come_back() -> None:
    lane, supply = await lane_of(3)
    for now in (599.0, 600.0, 600.5, 601.0):
        lane.retire_idle(now)
        await settle()
    assert len(supply.alive) == 1
    ended = [worker for worker in supply.taken if worker not in supply.alive]
    assert {worker.end_reason for worker in ended} == {WorkerEnd.IDLE_TIMEOUT}
    async with AsyncExitStack() as stack:
        assert await reserve(lane, stack) == supply.alive[0].name
        await reserve(lane, stack)
        await settle()
        assert len(supply.alive) == 2


async def test_a_busy_worker_is_not_idle() -> None:
    lane, supply = await lane_of(1, idle_count_min=0)
    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        lane.retire_idle(10_000.0)
        assert len(supply.alive) == 1


async def test_clients_are_served_in_turn() -> None:
    lane, _ = await lane_of(1)
    order: list[str] = []

    async def caller(client: str) -> None:
        async with lane.reserve(replace(ANY, client=client)):
            order.append(client)

    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        await reserve(lane, stack)
        tasks = [asyncio.create_task(caller("greedy")) for _ in range(500)]
        await settle()
        tasks.append(asyncio.create_task(caller("modest")))
        await settle()
    await asyncio.gather(*tasks)
    assert order.index("modest") == 1


async def test_in_a_full_queue_the_client_that_has_most_is_refused() -> None:
    lane, _ = await lane_of(1, queue_count_max=2)
    greedy, modest = (replace(ANY, client=name) for name in ("greedy", "modest"))
    async with AsyncExitStack() as stack:
        await reserve(lane, stack)
        await reserve(lane, stack)
        first, last = (asyncio.create_task(reserve(lane, stack, greedy)) for _ in range(2))
        await settle()
        with pytest.raises(FenchelError, match="ExecuteFullError"):
            await reserve(lane, stack, greedy)
        late = asyncio.create_task(reserve(lane, stack, modest))
        with pytest.raises(FenchelError, match="ExecuteFullError"):
            await last
        assert not first.done()
        assert not late.done()
        for task in (first, late):
            task.cancel()
        await asyncio.gather(first, late, return_exceptions=True)
        assert lane.waiting_count == 0


async def test_a_full_queue_is_an_overload() -> None:
    lane, _ = await lane_of(1, queue_count_max=0)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await reserve(lane, stack)
        with pytest.raises(FenchelError, match="ExecuteFullError"):
            await reserve(lane, stack)


async def test_who_waits_too_long_is_rejected_before_execution() -> None:
    lane, _ = await lane_of(1, queue_wait_seconds_max=0.01)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await reserve(lane, stack)
        with pytest.raises(FenchelError, match="ExpiredInQueue"):
            await reserve(lane, stack)
        assert lane.waiting_count == 0


async def test_a_place_that_comes_as_its_caller_is_cancelled_is_given_back() -> None:
    lane, _ = await lane_of(1)
    async with AsyncExitStack() as late:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await reserve(lane, stack)
            waiting = asyncio.create_task(reserve(lane, late))
            await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert lane.active_count == 0


async def test_a_dead_worker_is_replaced_and_waiters_go_on() -> None:
    lane, supply = await lane_of(1)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await reserve(lane, stack)
        waiting = asyncio.create_task(reserve(lane, stack))
        await settle()
        supply.end(supply.taken[0])
        assert await waiting == 1


async def test_functions_known_for_long_turns_never_get_all_workers() -> None:
    lane, supply = await lane_of(2, relief_workers_max=0)
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as first:
            assert await reserve(lane, first, LONG) == 0
            supply.taken[0].is_stalled = True
            waiting = asyncio.create_task(reserve(lane, stack, LONG))
            await settle()
            assert await reserve(lane, stack) == 1
            assert not waiting.done()
            supply.taken[0].is_stalled = False
        assert await waiting == 0


CROWD = Crowd(count_max=5, wait_seconds_max=0.05, kind="actions", setting="a.setting")


class TestCrowds:
    """Lanes that take a certain number at once, however few workers they begin with."""

    async def test_workers_come_while_all_are_full(self) -> None:
        lane, supply = await lane_of(1, crowd=CROWD)
        async with AsyncExitStack() as stack:
            assert [await reserve(lane, stack) for _ in range(5)] == [0, 0, 1, 1, 2]
            assert len(supply.taken) == 3

    async def test_those_who_come_at_once_start_no_more_than_they_need(self) -> None:
        lane, supply = await lane_of(1, crowd=CROWD)
        async with AsyncExitStack() as stack:
            callers = [asyncio.create_task(reserve(lane, stack)) for _ in range(9)]
            await asyncio.gather(*callers, return_exceptions=True)
            assert (lane.active_count, len(supply.taken)) == (5, 3)

    async def test_beyond_them_callers_are_told_the_limit(self) -> None:
        lane, _ = await lane_of(1, crowd=CROWD)
        async with AsyncExitStack() as stack:
            for _ in range(5):
                await reserve(lane, stack)
            with pytest.raises(FenchelError, match="limited to 5 concurrent actions") as caught:
                await reserve(lane, stack)
        assert caught.value.code == "TooManyConcurrentRequests"
        assert caught.value.kind is ErrorKind.REJECTED_BEFORE_EXECUTION
        assert "a.setting" in caught.value.message

    async def test_whom_others_wait_for_gets_a_place_of_its_own(self) -> None:
        lane, supply = await lane_of(1, crowd=CROWD)
        async with AsyncExitStack() as stack:
            for _ in range(5):
                await reserve(lane, stack)
            waiting = asyncio.create_task(reserve(lane, stack))
            nested = [await reserve(lane, stack, NESTED) for _ in range(5)]
            assert nested == [2, 3, 3, 4, 4]
            with pytest.raises(FenchelError, match="ExpiredInQueue"):
                await reserve(lane, stack, NESTED)
            assert len(supply.taken) == 5
            with pytest.raises(FenchelError, match="TooManyConcurrentRequests"):
                await waiting

    async def test_the_patient_wait_for_as_long_as_it_takes(self) -> None:
        lane, _ = await lane_of(1, crowd=CROWD)
        async with AsyncExitStack() as late, AsyncExitStack() as stack:
            for _ in range(5):
                await reserve(lane, stack)
            patient = asyncio.create_task(reserve(lane, late, replace(ANY, is_patient=True)))
            with pytest.raises(FenchelError, match="TooManyConcurrentRequests"):
                await reserve(lane, stack)
            assert not patient.done()
            await stack.aclose()
            assert await patient == 2


PATIENT_CROWD = dataclasses.replace(CROWD, wait_seconds_max=60.0)


class TestLongTurnsInCrowds:
    """What has begun there cannot move: functions known for long turns are kept apart."""

    async def test_they_and_others_share_no_worker_while_there_may_be_one_more(self) -> None:
        lane, supply = await lane_of(2, crowd=PATIENT_CROWD)
        async with AsyncExitStack() as stack:
            assert await reserve(lane, stack, LONG) == 0
            assert [await reserve(lane, stack) for _ in range(2)] == [1, 1]
            assert len(supply.taken) == 2
            assert await reserve(lane, stack) == 2
            assert len(supply.taken) == 3

    async def test_one_more_worker_takes_those_that_come_to_busy_ones(self) -> None:
        lane, _ = await lane_of(1, crowd=PATIENT_CROWD)
        async with AsyncExitStack() as stack:
            assert await reserve(lane, stack) == 0
            assert [await reserve(lane, stack, LONG) for _ in range(2)] == [1, 1]
            assert await reserve(lane, stack) == 0

    async def test_when_all_workers_are_taken_they_share(self) -> None:
        lane, supply = await lane_of(2, crowd=PATIENT_CROWD, relief_workers_max=0)
        async with AsyncExitStack() as stack:
            assert [await reserve(lane, stack, LONG) for _ in range(2)] == [0, 1]
            assert [await reserve(lane, stack) for _ in range(2)] == [0, 1]
            assert len(supply.taken) == 2

    async def test_those_that_others_wait_for_are_kept_apart_too(self) -> None:
        lane, _ = await lane_of(1, crowd=PATIENT_CROWD)
        async with AsyncExitStack() as stack:
            assert await reserve(lane, stack, LONG) == 0
            assert await reserve(lane, stack, NESTED) == 1

    async def test_the_worker_more_ends_some_time_after_the_last_of_them(self) -> None:
        lane, supply = await lane_of(1, crowd=PATIENT_CROWD)
        async with AsyncExitStack() as stack:
            await reserve(lane, stack, LONG)
            async with AsyncExitStack() as short:
                await reserve(lane, short)
            await settle()
            lane.relieve(100.0)
            lane.retire_idle(100.0)
            assert len(supply.alive) == 2
        lane.relieve(100.0 + LIMITS.relief_seconds)
        lane.retire_idle(100.0 + LIMITS.relief_seconds)
        assert len(supply.alive) == 1

    async def test_a_worker_that_does_not_come_keeps_nobody_waiting_for_long(self) -> None:
        lane, supply = await lane_of(1, crowd=PATIENT_CROWD)

        async def never_take(on_death: Callable[[Worker], None]) -> Worker:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

        async with AsyncExitStack() as stack:
            await reserve(lane, stack, LONG)
            supply.take = never_take  # type: ignore[method-assign]
            await settle()
            lane.relieve(100.0)
            waiting = asyncio.create_task(reserve(lane, stack))
            await settle()
            lane.relieve(100.5)
            await settle()
            assert not waiting.done()
            lane.relieve(101.0)
            assert await waiting == 0
        await lane.close()


async def test_closing_refuses_those_who_wait() -> None:
    lane, _ = await lane_of(1)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await reserve(lane, stack)
        waiting = asyncio.create_task(reserve(lane, stack))
        await settle()
        await lane.close()
        with pytest.raises(FenchelError, match="WorkerOverloaded"):
            await waiting
