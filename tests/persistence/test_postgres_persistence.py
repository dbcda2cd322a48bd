"""What only Postgres has: a server that goes away, a lease, and errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # ships no types
import pytest

from fenchel.database import Database
from fenchel.errors import ErrorKind, FenchelError
from fenchel.persistence import (
    LeaseLostError,
    PostgresPersistence,
    WriteBatch,
    postgres_layout,
    postgres_lease,
    postgres_persistence,
)
from fenchel.persistence.postgres_address import PostgresAddress
from fenchel.persistence.postgres_lease import PostgresLease
from fenchel.runtime import Runtime, SystemClock
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
async def opened_database(url: str) -> AsyncIterator[Database]:
    database = await Database.open(await PostgresPersistence.open(url, Runtime()), Runtime())
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def held_lease(url: str) -> AsyncIterator[asyncpg.Connection]:
    """As `writes_held_up`, for a server that will be killed in the block."""
    connection = await asyncpg.connect(url)
    await connection.execute("BEGIN; SELECT FROM fenchel.lease FOR UPDATE")
    try:
        yield connection
    finally:
        connection.terminate()


async def until(is_done: Callable[[], bool]) -> None:
    """Returns when it is; other work runs meanwhile."""
    async with asyncio.timeout(30):
        while not is_done():
            await SystemClock().sleep(0.01)


def refused(database: Database) -> bool:
    try:
        database.begin()
    except FenchelError as error:
        return error.code == "DatabaseUnreachable"
    return False


async def until_watched(url: str) -> None:
    """Returns when a server listens for take-overs and has asked for the lease."""
    query = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'fenchel lease' AND state = 'idle' AND query LIKE 'SELECT epoch%'
    """
    async with connected(url) as connection, asyncio.timeout(30):
        while await connection.fetchval(query) == 0:
            pass


async def stored_count(url: str, ts: int) -> int:
    """Revisions of that commit."""
    async with connected(url) as connection:
        query = "SELECT count(*) FROM fenchel.documents WHERE ts = $1"
        return int(await connection.fetchval(query, ts))


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


class LateConnection:
    """Answers questions with what the lease's row held before a retaking that has ended since."""

    def __init__(self, lease: PostgresLease) -> None:
        self.answers: asyncio.Queue[int] = asyncio.Queue()
        self._lease = lease
        self._hear: Callable[..., None] = print
        self.answers.put_nowait(lease.epoch)

    async def open(self) -> LateConnection:
        return self

    async def add_listener(self, _channel: str, hear: Callable[..., None]) -> None:
        self._hear = hear

    async def fetchval(self, statement: str, *arguments: Any, timeout: float) -> int:
        if arguments:
            return int(arguments[1])
        answer = await self.answers.get()
        await self._lease.retake(self)
        self.answers.task_done()
        self._hear()
        return answer

    def terminate(self) -> None:
        """Nothing is open."""


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
        # Before the take-over: where the database hears of it at once, nothing begins any more.
        tx = database.begin()
        await tx.user().insert("messages", {})
        async with opened(url):
            with pytest.raises(LeaseLostError):
                await database.commit(tx)
        assert (await database.wait_failed()).code == "LeaseLost"
        await database.close()

    async def test_an_idle_server_that_is_overtaken_gives_no_old_answers(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The take-over is told; it need not wait until the owner asks."""
        monkeypatch.setattr(postgres_lease, "_ASK_PAUSE_SECONDS", 1_000.0)
        async with opened_database(url) as database:
            token = database.token(database.begin())
            await until_watched(url)
            async with opened(url), asyncio.timeout(20):
                assert (await database.wait_failed()).code == "LeaseLost"
            for read in (database.begin, lambda: database.refresh(token, token.ts)):
                with pytest.raises(LeaseLostError):
                    read()

    async def test_a_take_over_that_was_not_heard_of_is_found_by_asking(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_lease, "_ASK_PAUSE_SECONDS", 0.1)
        async with opened_database(url) as database, connected(url) as connection:
            await connection.execute("UPDATE fenchel.lease SET epoch = epoch + 1")
            async with asyncio.timeout(20):
                assert (await database.wait_failed()).code == "LeaseLost"

    async def test_an_answer_from_before_a_retaking_takes_nothing_away(self) -> None:
        """After a restart of Postgres the watch asks while a commit in doubt takes a new epoch."""
        lease = PostgresLease(PostgresAddress("postgres://host/app"), SystemClock(), epoch=7)
        connection = LateConnection(lease)
        watch = asyncio.create_task(lease.watch(connection.open))
        await connection.answers.join()
        assert not lease.lost.is_set()
        connection.answers.put_nowait(8)
        await watch
        assert lease.lost.is_set()


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

    async def test_a_commit_that_was_on_its_way_is_stored_once(
        self, url: str, postgres_server: PostgresServer
    ) -> None:
        async with opened_database(url) as database:
            tx = database.begin()
            await tx.user().insert("messages", {})
            async with held_lease(url) as holder:
                commit = asyncio.create_task(database.commit(tx))
                await someone_waits(holder)
                postgres_server.kill()
                postgres_server.start()
            ts = await commit
            assert database.latest_ts() >= ts
            assert await database.begin().user().count("messages") == 1
            assert await stored_count(url, ts) > 0

    @pytest.mark.parametrize("is_stored", [True, False])
    async def test_a_write_whose_answer_was_lost_has_happened_once(
        self, url: str, monkeypatch: pytest.MonkeyPatch, is_stored: bool
    ) -> None:
        original = PostgresPersistence._write_parts
        losses = ["lost"]

        async def lose_the_answer(
            self: PostgresPersistence, connection: Any, batch: WriteBatch
        ) -> None:
            if not losses or is_stored:
                await original(self, connection, batch)
            if losses:
                losses.pop()
                raise ConnectionResetError("lost")

        monkeypatch.setattr(PostgresPersistence, "_write_parts", lose_the_answer)
        async with opened(url) as persistence:
            epoch = persistence._lease.epoch
            await persistence.write(batch(10, document(1, "a")))
            assert await names(persistence, 10) == ["a"]
            await persistence.write(batch(20, document(2, "b")))
            assert await names(persistence, 20) == ["a", "b"]
            # What was sent before, and comes late, does nothing.
            late = next(postgres_layout.split_batch(batch(15, document(3, "late"))))
            async with connected(url) as connection:
                assert await connection.fetchval(postgres_layout.WRITE_BATCH, epoch, *late) == 0
            assert await names(persistence, 20) == ["a", "b"]

    async def test_another_server_may_be_faster_after_a_lost_answer(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(self: PostgresPersistence, connection: Any, batch: WriteBatch) -> None:
            async with opened(url):
                raise ConnectionResetError("lost")

        async with opened_database(url) as database:
            monkeypatch.setattr(PostgresPersistence, "_write_parts", fail)
            tx = database.begin()
            await tx.user().insert("messages", {})
            with pytest.raises(FenchelError) as caught:
                await database.commit(tx)
            assert caught.value.code in ("DatabaseStopped", "LeaseLost")
            assert (await database.wait_failed()).code in ("DatabaseStopped", "LeaseLost")

    async def test_a_longer_outage_refuses_commits_and_nothing_else(
        self, url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with opened_database(url) as database:
            monkeypatch.setattr(postgres_persistence, "_RECONNECT_SECONDS_MAX", 0.3)
            postgres_server.kill()
            await until(database.persistence._writer.is_closed)  # type: ignore[attr-defined]
            tx = database.begin()
            await tx.user().insert("messages", {})
            with pytest.raises(FenchelError) as caught:
                await database.commit(tx)
            assert caught.value.code == "DataNotStored"
            assert caught.value.kind is ErrorKind.OVERLOADED
            assert "127.0.0.1" not in caught.value.message
            with pytest.raises(FenchelError) as caught:
                await database.persistence.load_latest_ts()
            assert caught.value.code == "DatabaseUnreachable"
            monkeypatch.undo()
            postgres_server.start()
            await until(lambda: not refused(database))
            tx = database.begin()
            await tx.user().insert("messages", {})
            await database.commit(tx)
            assert await database.begin().user().count("messages") == 1

    async def test_readers_are_refused_while_nobody_knows_whose_the_data_is(
        self, url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_lease, "_ASK_PAUSE_SECONDS", 0.1)
        async with opened_database(url) as database:
            tx = database.begin()
            token = database.token(tx)
            postgres_server.kill()
            monkeypatch.setattr(postgres_lease, "_SILENCE_SECONDS_MAX", 0.5)
            await until(lambda: refused(database))
            with pytest.raises(FenchelError) as caught:
                database.refresh(token, database.latest_ts())
            assert caught.value.code == "DatabaseUnreachable"
            postgres_server.start()
            await until(lambda: not refused(database))

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
