"""What only Postgres has: a server that goes away, a lease, and errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]  # ships no types
import pytest

from fenchel.database import Database
from fenchel.errors import FenchelError
from fenchel.persistence import LeaseLostError, PostgresPersistence, WriteBatch, postgres_layout
from fenchel.runtime import Runtime
from tests.end_to_end.fenchel_server import free_port
from tests.persistence.test_persistence import INDEX, batch, document, names
from tests.postgres_server import PASSWORD, PostgresServer


@pytest.fixture
async def url(postgres_server: PostgresServer) -> str:
    return await postgres_server.empty_database()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresPersistence]:
    persistence = await PostgresPersistence.open(url, Runtime())
    try:
        yield persistence
    finally:
        await persistence.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def writes_held_up(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Inside, a write waits for the lease row."""
    async with connected(url) as connection, connection.transaction():
        await connection.execute("SELECT FROM fenchel.lease FOR UPDATE")
        yield connection


async def someone_waits(connection: asyncpg.Connection) -> None:
    """Returns when another connection waits for a lock of this database."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while await connection.fetchval(query) == 0:
            pass


async def refusal(url: str) -> FenchelError:
    with pytest.raises(FenchelError) as caught:
        await PostgresPersistence.open(url, Runtime())
    assert "\n" not in caught.value.message
    assert PASSWORD not in caught.value.message
    return caught.value


class TestRefusals:
    async def test_a_server_that_does_not_answer(self) -> None:
        port = free_port()
        error = await refusal(f"postgres://ada:{PASSWORD[:8]}@127.0.0.1:{port}/app")
        assert error.code == "DatabaseUnreachable"
        assert f"127.0.0.1:{port}" in error.message

    async def test_a_wrong_password(self, postgres_server: PostgresServer) -> None:
        error = await refusal(postgres_server.url(password="wrong"))
        assert error.code == "DatabaseLoginRefused"

    async def test_a_database_that_does_not_exist(self, postgres_server: PostgresServer) -> None:
        error = await refusal(postgres_server.url("missing"))
        assert error.code == "DatabaseMissing"
        assert "'missing'" in error.message

    async def test_a_user_who_may_not_create_anything(self, url: str) -> None:
        async with connected(url) as connection:
            await connection.execute("DROP ROLE IF EXISTS guest")
            await connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        error = await refusal(url.replace(url.split("@")[0], "postgres://guest:guest"))
        assert error.code == "DatabaseNotWritable"

    @pytest.mark.parametrize(
        "wrong",
        ["mysql://h/app", "app", "postgres://h:port/app", f"postgres://ada:{PASSWORD}@h/app"],
    )
    async def test_a_url_of_another_form(self, wrong: str) -> None:
        assert (await refusal(wrong)).code == "InvalidDatabaseUrl"

    async def test_a_layout_of_the_future(self, url: str) -> None:
        async with opened(url), connected(url) as connection:
            await connection.execute("UPDATE fenchel.lease SET layout_version = 99")
        assert (await refusal(url)).code == "DatabaseTooNew"


class TestLease:
    async def test_the_older_of_two_writers_stores_nothing_more(self, url: str) -> None:
        async with opened(url) as older:
            await older.write(batch(10, document(1, "a")))
            async with opened(url) as newer:
                for ts in (20, 30):
                    with pytest.raises(LeaseLostError) as caught:
                        await older.write(batch(ts, document(2, "b")))
                assert "'postgres'" in caught.value.message
                with pytest.raises(LeaseLostError):
                    await older.write(WriteBatch(global_values={"key": "older"}))
                assert await newer.load_latest_ts() == 10
                assert await newer.load_globals() == {}
                await newer.write(batch(40, document(3, "c")))
                assert await names(newer, 50) == ["a", "c"]

    async def test_the_take_over_waits_for_a_write_that_has_begun(self, url: str) -> None:
        async with opened(url) as older, asyncio.TaskGroup() as group:
            async with writes_held_up(url) as connection:
                write = group.create_task(older.write(batch(10, document(1, "a"))))
                await someone_waits(connection)
                opening = group.create_task(PostgresPersistence.open(url, Runtime()))
            await write
            newer = await opening
            assert await names(newer, 10) == ["a"]
            await newer.close()

    async def test_a_writer_that_is_overtaken_under_load_loses_nothing_it_confirmed(
        self, url: str
    ) -> None:
        confirmed: list[int] = []

        async def write_until_lost(persistence: PostgresPersistence) -> None:
            for ts in range(1, 10_000):
                try:
                    await persistence.write(batch(ts, document(ts % 200, str(ts))))
                except LeaseLostError:
                    return
                confirmed.append(ts)

        async with opened(url) as older, asyncio.TaskGroup() as group:
            group.create_task(write_until_lost(older))
            async with opened(url) as newer:
                assert await newer.load_latest_ts() == len(confirmed)
                stored = await names(newer, 10_000, limit=10_000)
        assert sorted(map(int, stored)) == confirmed

    async def test_two_servers_may_meet_at_an_empty_database(self, url: str) -> None:
        first, second = await asyncio.gather(
            *(PostgresPersistence.open(url, Runtime()) for _ in range(2))
        )
        outcomes = await asyncio.gather(
            *(each.write(batch(10, document(1, "a"))) for each in (first, second)),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == [
            "LeaseLostError",
            "NoneType",
        ]
        await first.close()
        await second.close()

    async def test_a_database_that_lost_its_lease_stops_and_says_so(self, url: str) -> None:
        database = await Database.open(await PostgresPersistence.open(url, Runtime()), Runtime())
        async with opened(url):
            tx = database.begin()
            await tx.user().insert("messages", {})
            with pytest.raises(LeaseLostError):
                await database.commit(tx)
        assert (await database.wait_failed()).code == "LeaseLost"
        await database.close()


class TestAServerThatGoesAway:
    async def test_reads_and_later_writes_go_on_after_a_restart(
        self, url: str, postgres_server: PostgresServer
    ) -> None:
        async with opened(url) as persistence:
            await persistence.write(batch(10, document(1, "a")))
            assert await names(persistence, 10) == ["a"]
            postgres_server.kill()
            reading = asyncio.create_task(names(persistence, 10))
            await asyncio.sleep(0)
            postgres_server.start()
            assert await reading == ["a"]
            await persistence.write(batch(20, document(2, "b")))
            assert await names(persistence, 20) == ["a", "b"]

    async def test_a_commit_of_unknown_outcome_stops_the_database(
        self, url: str, postgres_server: PostgresServer
    ) -> None:
        database = await Database.open(await PostgresPersistence.open(url, Runtime()), Runtime())
        tx = database.begin()
        await tx.user().insert("messages", {})
        holder = await asyncpg.connect(url)
        await holder.execute("BEGIN; SELECT FROM fenchel.lease FOR UPDATE")
        commit = asyncio.create_task(database.commit(tx))
        await someone_waits(holder)
        postgres_server.kill()
        postgres_server.start()
        with pytest.raises(FenchelError) as caught:
            await commit
        assert caught.value.code == "DatabaseStopped"
        assert "unknown" in caught.value.message
        with pytest.raises(FenchelError):
            database.begin()
        await database.close()
        holder.terminate()

    async def test_closing_needs_no_server(self, url: str, postgres_server: PostgresServer) -> None:
        async with opened(url) as persistence:
            assert await names(persistence, 10) == []
            postgres_server.kill()
        postgres_server.start()


async def test_more_readers_than_connections_take_turns(url: str) -> None:
    async with opened(url) as persistence:
        await persistence.write(batch(10, document(1, "a")))
        found = await asyncio.gather(*(names(persistence, 10) for _ in range(100)))
        assert found == [["a"]] * 100
        async with connected(url) as connection:
            count = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fenchel reader'"
            )
        assert count <= 8


@pytest.mark.parametrize("has_statistics", [False, True])
@pytest.mark.parametrize(
    "statement", [postgres_layout.SELECT_ASCENDING, postgres_layout.SELECT_DESCENDING]
)
async def test_a_page_is_read_in_the_order_of_the_index(
    url: str, statement: str, has_statistics: bool
) -> None:
    """No plan may sort or scan everything to return twenty rows."""
    async with opened(url) as persistence:
        for ts in range(1, 4):
            await persistence.write(
                WriteBatch(
                    documents=[
                        row
                        for place in range(250)
                        for row in batch(ts, document(place, str(ts))).documents
                    ],
                    index_rows=[
                        row
                        for place in range(250)
                        for row in batch(ts, document(place, str(ts))).index_rows
                    ],
                )
            )
    connection = await asyncpg.connect(url, server_settings=postgres_layout.READER_SETTINGS)
    if has_statistics:
        await connection.execute("ANALYZE")
    await connection.execute(
        f"PREPARE page (bytea, bytea, bytea, bytea, bytea, bigint, bigint) AS {statement}"
    )
    lines = await connection.fetch(
        f"EXPLAIN EXECUTE page ('\\x{INDEX.hex()}', '', '', '\\xff', '', 9, 20)"
    )
    await connection.close()
    plan = "\n".join(line[0] for line in lines)
    assert "Incremental Sort" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "-> Sort" not in plan.replace("->  ", "-> "), plan
    assert "Hash" not in plan, plan
