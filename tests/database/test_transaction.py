"""Isolation, one anomaly at a time (database specification 7 and 11)."""

from __future__ import annotations

import pytest

from fenchel.database import Database
from fenchel.errors import ConflictError, FenchelError
from tests.database.helpers import (
    drain,
    index_range,
    insert,
    is_invalidated,
    limit,
    patch,
    push,
    query,
    scan,
    schema,
)

BY_N = schema({"items": {"indexes": {"by_n": ["n"]}}}, validation=False)


class TestConflicts:
    async def test_write_skew_is_refused(self, any_database: Database) -> None:
        """11.5: each reads the other's row and writes its own."""
        a, b = await insert(any_database, "doctors", {"n": 1.0}, {"n": 1.0})
        first, second = any_database.begin(), any_database.begin()
        await first.user().get(b)
        await second.user().get(a)
        await first.user().patch(a, {"n": 0.0})
        await second.user().patch(b, {"n": 0.0})
        await any_database.commit(first, write_source="doctors:leave")
        with pytest.raises(ConflictError) as caught:
            await any_database.commit(second)
        source = caught.value.source
        assert (source.table_name, source.document_id) == ("doctors", a)
        assert source.write_source == "doctors:leave"
        assert source.write_ts == any_database.latest_ts()

    async def test_phantoms_are_refused(self, any_database: Database) -> None:
        """11.6: both count a range and insert into it."""
        await push(any_database, BY_N)
        first, second = any_database.begin(), any_database.begin()
        for tx in (first, second):
            assert await query(tx, index_range("items.by_n", ("n", "Gte", 5))) == []
            await tx.user().insert("items", {"n": 7.0})
        await any_database.commit(first)
        with pytest.raises(ConflictError):
            await any_database.commit(second)

    async def test_take_depends_on_what_it_took_only(self, any_database: Database) -> None:
        """11.4: after the second row nothing matters, before it everything does."""
        await push(any_database, BY_N)
        await insert(any_database, "items", {"n": 1.0}, {"n": 5.0}, {"n": 9.0})
        for number, matters in ((7.0, False), (3.0, True)):
            tx = any_database.begin()
            ast = index_range("items.by_n")
            ast["operators"].append(limit(2))
            await query(tx, ast)
            await tx.user().insert("other", {})
            await insert(any_database, "items", {"n": number})
            assert is_invalidated(any_database, tx) == matters

    async def test_unconsumed_rows_are_not_read(self, any_database: Database) -> None:
        ids = await insert(any_database, "items", *({"n": float(n)} for n in range(5)))
        tx = any_database.begin()
        stream = tx.user().open_stream(scan("items"))
        await stream.next()
        await stream.next()
        assert tx.usage.documents_read == 2
        await patch(any_database, ids[3], n=30.0)
        assert any_database.refresh(any_database.token(tx), any_database.latest_ts()) is not None
        await patch(any_database, ids[1], n=10.0)
        assert is_invalidated(any_database, tx)

    async def test_an_update_that_keeps_the_key_still_matters(self, any_database: Database) -> None:
        """11.7"""
        await push(any_database, BY_N)
        (id_text,) = await insert(any_database, "items", {"n": 1.0, "text": "old"})
        tx = any_database.begin()
        await query(tx, index_range("items.by_n", ("n", "Eq", 1)))
        await patch(any_database, id_text, text="new")
        assert is_invalidated(any_database, tx)

    async def test_blind_inserts_do_not_conflict(self, any_database: Database) -> None:
        await insert(any_database, "items", {"n": 0.0})
        first, second = any_database.begin(), any_database.begin()
        for tx in (first, second):
            await tx.user().insert("items", {"n": 1.0})
        assert await any_database.commit(first) < await any_database.commit(second)

    async def test_reading_a_missing_table_depends_on_its_creation(
        self, any_database: Database
    ) -> None:
        tx = any_database.begin()
        assert await query(tx, scan("items")) == []
        await insert(any_database, "items", {"n": 1.0})
        assert is_invalidated(any_database, tx)

    async def test_a_read_only_transaction_never_conflicts(self, any_database: Database) -> None:
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        tx = any_database.begin()
        await tx.user().get(id_text)
        await patch(any_database, id_text, n=2.0)
        assert await any_database.commit(tx) == tx.begin_ts

    async def test_an_equal_patch_changes_nothing(self, any_database: Database) -> None:
        """11.11"""
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        reader = any_database.begin()
        await reader.user().get(id_text)
        writer = any_database.begin()
        await writer.user().patch(id_text, {"n": 1.0})
        assert writer.is_read_only
        assert await any_database.commit(writer) == writer.begin_ts
        assert not is_invalidated(any_database, reader)

    async def test_two_first_inserts_into_one_table_conflict(self, any_database: Database) -> None:
        first, second = any_database.begin(), any_database.begin()
        for tx in (first, second):
            await tx.user().insert("items", {})
        await any_database.commit(first)
        with pytest.raises(ConflictError) as caught:
            await any_database.commit(second)
        assert caught.value.source.is_system_table


class TestSnapshots:
    async def test_an_older_snapshot_stays_as_it_was(self, any_database: Database) -> None:
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        before = any_database.latest_ts()
        await patch(any_database, id_text, n=2.0)
        await insert(any_database, "items", {"n": 3.0})
        old = any_database.begin(ts=before)
        assert await query(old, scan("items")) == [1.0]
        assert await old.user().count("items") == 1
        assert await query(any_database.begin(), scan("items")) == [2.0, 3.0]

    async def test_metadata_belongs_to_the_snapshot_too(self, any_database: Database) -> None:
        before = any_database.latest_ts()
        (id_text,) = await insert(any_database, "items", {"n": 1.0})
        old = any_database.begin(ts=before)
        assert await old.user().get(id_text) is None
        assert old.user().normalize_id("items", id_text) is None


class TestOwnWrites:
    async def test_a_prefetched_page_does_not_change(self, any_database: Database) -> None:
        """Specification 7.3: what is loaded keeps old versions; what is not loaded does not."""
        ids = await insert(any_database, "items", *({"n": float(n)} for n in range(3)))
        tx = any_database.begin()
        stream = tx.user().open_stream(scan("items"))
        assert (await stream.next()) is not None
        await tx.user().delete(ids[1])
        assert await drain(stream) == [1.0, 2.0]
        assert await query(tx, scan("items")) == [0.0, 2.0]

    async def test_a_scan_goes_on_behind_a_page_that_was_deleted(
        self, any_database: Database
    ) -> None:
        ids = await insert(any_database, "items", *({"n": float(n)} for n in range(130)))
        tx = any_database.begin()
        for id_text in ids[:120]:
            await tx.user().delete(id_text)
        assert await query(tx, scan("items")) == [float(n) for n in range(120, 130)]

    async def test_creation_times_step_by_the_least_amount(self, any_database: Database) -> None:
        """11.8"""
        tx = any_database.begin()
        first, second = [await tx.user().insert("items", {}) for _ in range(2)]
        a, b = await tx.user().get(first), await tx.user().get(second)
        assert a is not None
        assert b is not None
        assert 0 < b.creation_time - a.creation_time < 0.0005


class TestLevels:
    async def test_a_failed_level_loses_writes_and_keeps_reads(
        self, any_database: Database
    ) -> None:
        """11.9"""
        kept, touched = await insert(any_database, "items", {"n": 1.0}, {"n": 2.0})
        tx = any_database.begin()
        await tx.user().patch(kept, {"n": 10.0})
        written = tx.usage.documents_written
        tx.begin_subtransaction()
        await tx.user().patch(touched, {"n": 20.0})
        await tx.user().insert("created", {})
        tx.rollback_subtransaction()
        assert tx.usage.documents_written == written
        assert await query(tx, scan("items")) == [10.0, 2.0]
        assert await query(tx, scan("created")) == []
        await patch(any_database, touched, n=3.0)
        with pytest.raises(ConflictError):
            await any_database.commit(tx)

    async def test_a_failed_level_has_scheduled_nothing(self, database: Database) -> None:
        tx = database.begin()
        tx.usage.record_scheduled(100)
        tx.begin_subtransaction()
        tx.usage.record_scheduled(50)
        tx.rollback_subtransaction()
        assert (tx.usage.functions_scheduled, tx.usage.scheduled_args_bytes) == (1, 100)
        for _ in range(999):
            tx.usage.record_scheduled(0)
        with pytest.raises(FenchelError, match="TooManyFunctionsScheduled"):
            tx.usage.record_scheduled(0)

    async def test_arguments_of_scheduled_functions_are_limited(self, database: Database) -> None:
        usage = database.begin().usage
        usage.record_scheduled(16 << 20)
        with pytest.raises(FenchelError, match="ScheduledFunctionsArgumentsTooLarge"):
            usage.record_scheduled(1)

    async def test_a_committed_level_can_be_undone_by_its_parent(
        self, any_database: Database
    ) -> None:
        tx = any_database.begin()
        tx.begin_subtransaction()
        tx.begin_subtransaction()
        await tx.user().insert("items", {"n": 1.0})
        tx.commit_subtransaction()
        tx.rollback_subtransaction()
        assert tx.is_read_only

    async def test_an_open_level_cannot_commit(self, database: Database) -> None:
        tx = database.begin()
        tx.begin_subtransaction()
        with pytest.raises(AssertionError):
            await database.commit(tx)


class TestTokens:
    async def test_a_token_must_be_taken_last(self, database: Database) -> None:
        tx = database.begin()
        database.token(tx)
        with pytest.raises(AssertionError):
            await query(tx, scan("items"))

    async def test_a_token_older_than_the_log_is_out_of_retention(self, database: Database) -> None:
        tx = database.begin()
        token = database.token(tx)
        await insert(database, "items", {})
        database._log.trim(database.latest_ts() + 10**12)
        with pytest.raises(FenchelError) as caught:
            database.refresh(token, database.latest_ts())
        assert caught.value.code == "OutOfRetention"
        assert database.refresh(token, token.ts) is token


class TestMarks:
    async def test_a_transaction_that_was_restored_is_as_one_that_never_read(
        self, any_database: Database
    ) -> None:
        a, b = await insert(any_database, "items", {"n": 1.0}, {"n": 2.0})
        tx, other = any_database.begin(), any_database.begin()
        for each in (tx, other):
            await each.user().get(a)
        mark = tx.mark_reads()
        tx.begin_subtransaction()
        await tx.user().get(b)
        await tx.user().patch(b, {"n": 3.0})
        await tx.user().insert("fresh", {})
        tx.rollback_subtransaction()
        tx.restore_reads(mark)
        for each in (tx, other):
            await each.user().patch(a, {"n": 4.0})
        assert dict(tx.reads.items()) == dict(other.reads.items())
        assert tx.usage.documents_read == other.usage.documents_read
        await patch(any_database, b, n=9.0)
        await any_database.commit(tx)
