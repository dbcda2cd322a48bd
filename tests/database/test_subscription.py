"""Subscriptions: no missed update, one call, never inside `subscribe` (specification 8.3)."""

from __future__ import annotations

import asyncio

import pytest

from fenchel.database import Database, Subscription
from fenchel.errors import FenchelError
from fenchel.runtime import Runtime, Settings
from fenchel.runtime.settings import DatabaseSettings
from tests.database.helpers import insert, patch, query, scan


class Calls(list[Subscription]):
    def __call__(self, subscription: Subscription) -> None:
        self.append(subscription)


async def settle() -> None:
    """Let callbacks run that are due."""
    await asyncio.sleep(0)


async def watch(database: Database, table: str, calls: Calls) -> Subscription:
    tx = database.begin()
    await query(tx, scan(table))
    return database.subscribe(database.token(tx), calls)


async def test_the_first_overlapping_commit_invalidates_once(database: Database) -> None:
    calls = Calls()
    await insert(database, "items", {})
    subscription = await watch(database, "items", calls)
    await insert(database, "other", {})
    await settle()
    assert subscription.is_valid
    await insert(database, "items", {})
    first_ts = database.latest_ts()
    await insert(database, "items", {})
    await settle()
    assert calls == [subscription]
    assert subscription.invalid_ts == first_ts


async def test_a_late_subscription_is_born_invalid(database: Database) -> None:
    calls = Calls()
    tx = database.begin()
    await query(tx, scan("items"))
    token = database.token(tx)
    await insert(database, "items", {})
    subscription = database.subscribe(token, calls)
    assert not subscription.is_valid
    assert subscription.invalid_ts == database.latest_ts()
    assert calls == []
    await settle()
    assert calls == [subscription]


async def test_a_closed_subscription_is_silent(database: Database) -> None:
    calls = Calls()
    for is_closed_late in (False, True):
        subscription = await watch(database, "items", calls)
        if not is_closed_late:
            subscription.close()
        await insert(database, "items", {})
        subscription.close()
        subscription.close()
    await settle()
    assert len(calls) <= 1
    assert database._subscriptions.count == 0


async def test_a_single_document_can_be_watched(database: Database) -> None:
    calls = Calls()
    a, b = await insert(database, "items", {"n": 1.0}, {"n": 2.0})
    tx = database.begin()
    await tx.user().get(a)
    subscription = database.subscribe(database.token(tx), calls)
    await patch(database, b, n=3.0)
    assert subscription.is_valid
    await patch(database, a, n=3.0)
    assert not subscription.is_valid


async def test_a_callback_that_fails_does_not_stop_the_committer(database: Database) -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, info: failures.append(info))
    tx = database.begin()
    await query(tx, scan("items"))

    def fail(_: Subscription) -> None:
        raise ZeroDivisionError

    database.subscribe(database.token(tx), fail)
    await insert(database, "items", {})
    await settle()
    assert len(failures) == 1
    await insert(database, "items", {})


class TestTooMany:
    @pytest.fixture
    def runtime(self) -> Runtime:
        return Runtime(settings=Settings(database=DatabaseSettings(subscription_count_max=1)))

    async def test_a_full_manager_refuses(self, database: Database) -> None:
        first = await watch(database, "items", Calls())
        with pytest.raises(FenchelError) as caught:
            await watch(database, "items", Calls())
        assert caught.value.code == "SubscriptionsWorkerFullError"
        first.close()
        await watch(database, "items", Calls())


async def test_callbacks_come_in_the_order_of_subscribing(database: Database) -> None:
    await insert(database, "items", {})
    order: list[int] = []
    for number in range(20):
        tx = database.begin()
        await query(tx, scan("items"))
        database.subscribe(database.token(tx), lambda _, number=number: order.append(number))  # type: ignore[misc]
    await insert(database, "items", {})
    await settle()
    assert order == list(range(20))
