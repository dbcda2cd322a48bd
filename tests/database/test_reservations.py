"""Turns: who holds one does not lose to others, and nobody waits for ever (decision 0011)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from fenchel.database import Database, Reservation, Transaction
from fenchel.errors import ConflictError, FenchelError
from fenchel.persistence import MemoryPersistence, WriteBatch
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from fenchel.testing import VirtualClock, run_virtual
from tests.database.helpers import insert, query, scan

HOLD_SECONDS = 2.0
WAIT_SECONDS = 10.0


class SlowPersistence(MemoryPersistence):
    """Every write takes a tenth of a virtual second, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    async def write(self, batch: WriteBatch) -> None:
        await VirtualClock().sleep(0.1)
        if self.error is not None:
            raise self.error
        await super().write(batch)


class World:
    """Two counters and the words of these tests."""

    def __init__(self, database: Database, persistence: SlowPersistence, ids: list[str]) -> None:
        self.database = database
        self.persistence = persistence
        self.ids = ids
        self.clock = VirtualClock()

    async def incremented(
        self, place: int = 0, *, reservation: Reservation | None = None
    ) -> Transaction:
        tx = self.database.begin(reservation=reservation)
        document = await tx.user().get(self.ids[place])
        assert document is not None
        number = document.value["n"]
        assert isinstance(number, float)
        await tx.user().patch(self.ids[place], {"n": number + 1})
        return tx

    async def increment(self, place: int = 0) -> None:
        await self.database.commit(await self.incremented(place))

    async def lost(self, place: int = 0) -> Transaction:
        """A transaction whose commit has conflicted."""
        tx = await self.incremented(place)
        await self.increment(place)
        with pytest.raises(ConflictError):
            await self.database.commit(tx)
        return tx

    async def values(self) -> list[object]:
        return list(await query(self.database.begin(), scan("items")))


def simulated(test: Any) -> Any:
    """Run the test's coroutine in a world on virtual time."""

    def run() -> None:
        async def main() -> None:
            settings = DatabaseSettings(
                reservation_seconds_max=HOLD_SECONDS,
                reservation_wait_seconds_max=WAIT_SECONDS,
                reservation_count_max=3,
            )
            runtime = Runtime(clock=VirtualClock(), settings=Settings(database=settings))
            persistence = SlowPersistence()
            database = await Database.open(persistence, runtime)
            ids = await insert(database, "items", {"n": 0.0}, {"n": 0.0})
            await test(World(database, persistence, ids))
            database.check_invariants()
            await database.close()

        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def start(group: asyncio.TaskGroup, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return group.create_task(work, name="contender")


@simulated
async def test_a_holder_commits_before_those_that_came_first(world: World) -> None:
    async with world.database.reserve(await world.lost()) as reservation:
        assert reservation is not None
        tx = await world.incremented(reservation=reservation)
        rival = asyncio.create_task(world.increment(), name="rival")
        await world.clock.sleep(1)
        assert not rival.done()
        await world.database.commit(tx)
    with pytest.raises(ConflictError):
        await rival
    assert await world.values() == [2.0, 0.0]


@simulated
async def test_others_go_on_meanwhile(world: World) -> None:
    async with world.database.reserve(await world.lost()):
        await world.increment(1)
    assert await world.values() == [1.0, 1.0]


@simulated
async def test_who_waited_for_a_turn_that_was_not_used_commits(world: World) -> None:
    async with world.database.reserve(await world.lost()):
        rival = asyncio.create_task(world.increment(), name="rival")
        await world.clock.sleep(1)
        assert not rival.done()
    await rival
    assert await world.values() == [2.0, 0.0]


@simulated
async def test_a_turn_ends_by_itself(world: World) -> None:
    async with world.database.reserve(await world.lost()) as reservation:
        assert reservation is not None
        started = world.clock.monotonic()
        await world.increment()
        assert HOLD_SECONDS <= world.clock.monotonic() - started < HOLD_SECONDS + 1
        assert not reservation.is_held


@simulated
async def test_turns_come_in_the_order_of_asking(world: World) -> None:
    order: list[int] = []

    async def contender(number: int, lost: Transaction) -> None:
        async with world.database.reserve(lost) as reservation:
            assert reservation is not None
            order.append(number)
            world.database.check_invariants()
            await world.database.commit(await world.incremented(reservation=reservation))

    lost = [await world.lost() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for number, tx in enumerate(lost):
            start(group, contender(number, tx))
    assert order == [0, 1, 2]


@simulated
async def test_turns_that_do_not_conflict_are_held_together(world: World) -> None:
    first, second = await world.lost(0), await world.lost(1)
    async with world.database.reserve(first) as one, world.database.reserve(second) as other:
        assert one is not None
        assert other is not None
        assert one.is_held
        assert other.is_held
        world.database.check_invariants()


@simulated
async def test_a_turn_begins_after_the_commits_that_were_under_way(world: World) -> None:
    lost = await world.lost()
    rival = asyncio.create_task(world.increment(), name="rival")
    await world.clock.sleep(0.05)
    async with world.database.reserve(lost) as reservation:
        await world.database.commit(await world.incremented(reservation=reservation))
    await rival


@simulated
async def test_waiting_for_a_turn_has_an_end(world: World) -> None:
    lost = [await world.lost() for _ in range(2)]
    async with world.database.reserve(lost[0]) as holder:
        assert holder is not None
        assert holder.expiry is not None
        holder.expiry.cancel()
        started = world.clock.monotonic()
        async with world.database.reserve(lost[1]) as reservation:
            assert reservation is None
        assert world.clock.monotonic() - started == pytest.approx(WAIT_SECONDS)


@simulated
async def test_a_long_line_turns_nobody_away(world: World) -> None:
    lost = [await world.lost(), await world.lost(1)]
    async with AsyncExitStack() as stack:
        for number in range(3):
            tx = world.database.begin()
            await tx.user().insert("items", {"n": float(number)})
            await stack.enter_async_context(world.database.reserve(tx))
        async with world.database.reserve(lost[0]) as reservation:
            assert reservation is None


@simulated
async def test_who_gives_up_waiting_leaves_the_line(world: World) -> None:
    lost = [await world.lost() for _ in range(3)]

    async def waiter(tx: Transaction) -> None:
        async with world.database.reserve(tx) as reservation:
            assert reservation is not None

    async with world.database.reserve(lost[0]):
        gone = asyncio.create_task(waiter(lost[1]), name="gone")
        patient = asyncio.create_task(waiter(lost[2]), name="patient")
        await world.clock.sleep(0.5)
        gone.cancel()
        await world.clock.sleep(0.5)
        world.database.check_invariants()
    started = world.clock.monotonic()
    await patient
    assert world.clock.monotonic() == started


@simulated
async def test_a_blind_write_is_not_held_up_by_turns_that_come_after_it(world: World) -> None:
    """Inserts never lose, so they would wait as long as others stand in the line."""
    seen: list[int] = []

    async def counting(number: int, tx: Transaction) -> None:
        async with world.database.reserve(tx) as reservation:
            assert reservation is not None
            counted = world.database.begin(reservation=reservation)
            seen.append(len(await query(counted, scan("items"))))
            await counted.user().insert("items", {"n": float(number)})
            await world.clock.sleep(0.5)
            await world.database.commit(counted)

    counts = [world.database.begin() for _ in range(2)]
    for number, tx in enumerate(counts):
        await query(tx, scan("items"))
        await tx.user().insert("items", {"n": float(number)})
    async with asyncio.TaskGroup() as group:
        start(group, counting(0, counts[0]))
        await world.clock.sleep(0.1)
        blind = start(group, insert(world.database, "items", {"n": 9.0}))
        await world.clock.sleep(0.1)
        start(group, counting(1, counts[1]))
        await world.clock.sleep(0.1)
        assert not blind.done()
        world.database.check_invariants()
    # Two documents; then those, the first counter's own and the blind one.
    assert seen == [2, 4]


@simulated
async def test_a_commit_that_is_given_up_while_it_waits_holds_up_nobody(world: World) -> None:
    lost = [await world.lost() for _ in range(2)]

    async def contender() -> None:
        async with world.database.reserve(lost[1]) as reservation:
            assert reservation is not None
            await world.database.commit(await world.incremented(reservation=reservation))

    async with world.database.reserve(lost[0]):
        gone = asyncio.create_task(world.increment(), name="gone")
        await world.clock.sleep(0.5)
        behind = asyncio.create_task(contender(), name="behind")
        await world.clock.sleep(0.1)
        gone.cancel()
    await behind
    assert await world.values() == [3.0, 0.0]


@simulated
async def test_closing_the_database_ends_all_turns(world: World) -> None:
    lost = [await world.lost() for _ in range(2)]

    async def waiter() -> None:
        async with world.database.reserve(lost[1]):
            raise AssertionError("a turn in a closed database")

    async with world.database.reserve(lost[0]):
        waiting = asyncio.create_task(waiter(), name="waiter")
        parked = asyncio.create_task(world.increment(), name="parked")
        await world.clock.sleep(0.5)
        await world.database.close()
    with pytest.raises(FenchelError, match="shutting down"):
        await waiting
    await parked


@simulated
async def test_a_failed_write_fails_those_who_wait_for_a_turn_to_end(world: World) -> None:
    async with world.database.reserve(await world.lost()):
        parked = asyncio.create_task(world.increment(), name="parked")
        await world.clock.sleep(0.5)
        world.persistence.error = OSError("disk on fire")
        with pytest.raises(FenchelError, match="DatabaseStopped"):
            await world.increment(1)
        with pytest.raises(FenchelError, match="DatabaseStopped"):
            await parked


@simulated
async def test_parked_commits_count_as_waiting(world: World) -> None:
    world.database._committer._settings = DatabaseSettings(commit_queue_count_max=1)
    async with world.database.reserve(await world.lost()):
        parked = asyncio.create_task(world.increment(), name="parked")
        await world.clock.sleep(0.5)
        with pytest.raises(FenchelError, match="CommitterFullError"):
            await world.increment()
    await parked
