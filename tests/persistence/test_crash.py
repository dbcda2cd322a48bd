"""Kill server or storage at any moment: what was acknowledged is there, exactly once and whole."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fenchel.database import Database
from fenchel.database.background import try_commit
from fenchel.errors import ErrorKind, FenchelError
from fenchel.runtime import Runtime, SystemClock
from fenchel.runtime.settings import Settings, TransactionLimits
from tests.persistence.crash_child import open_persistence
from tests.postgres_server import PostgresServer

_CHILD = Path(__file__).with_name("crash_child.py")
_ROUNDS = 3
_SOAK_ROUNDS = 200
_ROUND_SECONDS_MAX = 60.0
# The checks read everything in one transaction.
_UNLIMITED = Runtime(
    settings=Settings(
        transaction=TransactionLimits(documents_read_max=10**9, bytes_read_max=10**12)
    )
)


async def run_and_kill(
    place: str, first_number: int, count: int, disturb: Callable[[], None]
) -> dict[float, int]:
    """Timestamps by number of the commits that a child acknowledged before SIGKILL hit it.

    `disturb` runs after `count` of them.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(_CHILD), place, str(first_number), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(_ROUND_SECONDS_MAX):
            assert await child.stdout.readline() == b"ready\n"
            lines = [await child.stdout.readline() for _ in range(count)]
            disturb()
    finally:
        child.kill()
        await child.wait()
    lines += (await child.stdout.read()).splitlines(keepends=True)
    complete = [line.split() for line in lines if line.endswith(b"\n")]
    return {float(number): int(ts) for number, ts in complete}


async def stored_numbers(database: Database, table: str) -> Counter[float]:
    """How often each number is stored."""
    tx = database.begin()
    source = {"type": "FullTableScan", "tableName": table, "order": None}
    stream = tx.user().open_stream({"source": source, "operators": []})
    found: Counter[float] = Counter()
    while (document := await stream.next()) is not None:
        number = document.value["number"]
        assert isinstance(number, float)
        found[number] += 1
    assert await tx.user().count(table) == found.total()
    return found


async def check_stored(place: str, acknowledged: dict[float, int]) -> None:
    database = await Database.open(await open_persistence(place), _UNLIMITED)
    try:
        numbers = await stored_numbers(database, "numbers")
        assert numbers == await stored_numbers(database, "pairs"), "half a transaction"
        assert set(acknowledged) <= set(numbers), "an acknowledged commit is lost"
        assert set(numbers.values()) == {1}, "a commit is stored twice"
        assert database.latest_ts() > max(acknowledged.values())
    finally:
        await database.close()


async def run_rounds(
    place: str, round_count: int, chance: random.Random, disturb: Callable[[int], None]
) -> None:
    """Each round goes on with the data of the last; `disturb` gets the number of the round."""
    acknowledged: dict[float, int] = {}
    for number in range(round_count):
        acknowledged |= await run_and_kill(
            place, number * 1_000_000, chance.randint(1, 60), partial(disturb, number)
        )
        await check_stored(place, acknowledged)


def nothing(_: int) -> None:
    """The child's end is all that happens."""


def kill_every_second_time(server: PostgresServer) -> Callable[[int], None]:
    def kill(number: int) -> None:
        if number % 2 == 1:
            server.kill()
            server.start()

    return kill


async def test_acknowledged_commits_survive_sigkill(tmp_path: Path) -> None:
    await run_rounds(str(tmp_path), _ROUNDS, random.Random(1), nothing)


async def test_acknowledged_commits_survive_sigkill_of_server_and_postgres(
    postgres_server: PostgresServer,
) -> None:
    place = await postgres_server.empty_database()
    await run_rounds(place, _ROUNDS, random.Random(2), kill_every_second_time(postgres_server))


async def survive_restarts_of_postgres(server: PostgresServer, round_count: int) -> None:
    """The same database object, with commits on their way each time that Postgres is killed."""
    place = await server.empty_database()
    database = await Database.open(await open_persistence(place), _UNLIMITED)
    numbers = itertools.count()
    acknowledged: set[float] = set()
    is_over = False

    async def write() -> None:
        while not is_over:
            number = float(next(numbers))
            try:
                tx = database.begin()
                for table in ("numbers", "pairs"):
                    await tx.user().insert(table, {"number": number})
                if await try_commit(database, tx):
                    acknowledged.add(number)
            except FenchelError as error:
                # Refused while Postgres is away for long; then nothing of it is stored.
                if error.kind is not ErrorKind.OVERLOADED:
                    raise
                await SystemClock().sleep(0.01)

    async with asyncio.TaskGroup() as writers:
        for number in range(8):
            writers.create_task(write(), name=f"writer {number}")
        for _ in range(round_count):
            await more_than(acknowledged, len(acknowledged) + 40)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await more_than(acknowledged, len(acknowledged) + 40)
        is_over = True
    assert await stored_numbers(database, "numbers") == dict.fromkeys(acknowledged, 1)
    assert await stored_numbers(database, "pairs") == dict.fromkeys(acknowledged, 1)
    database.check_invariants()
    await database.close()


async def more_than(numbers: set[float], count: int) -> None:
    async with asyncio.timeout(_ROUND_SECONDS_MAX):
        while len(numbers) <= count:
            await SystemClock().sleep(0.001)


async def test_a_running_server_survives_restarts_of_postgres(
    postgres_server: PostgresServer,
) -> None:
    await survive_restarts_of_postgres(postgres_server, _ROUNDS)


@pytest.mark.slow
async def test_a_running_server_survives_many_restarts_of_postgres(
    postgres_server: PostgresServer,
) -> None:
    await survive_restarts_of_postgres(postgres_server, _SOAK_ROUNDS)


@pytest.mark.slow
async def test_sigkill_soak(tmp_path: Path) -> None:
    await run_rounds(str(tmp_path), _SOAK_ROUNDS, random.Random(3), nothing)


@pytest.mark.slow
async def test_sigkill_soak_of_server_and_postgres(postgres_server: PostgresServer) -> None:
    place = await postgres_server.empty_database()
    await run_rounds(place, _SOAK_ROUNDS, random.Random(4), kill_every_second_time(postgres_server))
