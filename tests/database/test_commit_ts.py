"""The commit's own timestamp in documents: a placeholder before, the timestamp after (database
specification 7.7)."""

from __future__ import annotations

import base64

import pytest

from fenchel.database import Database
from fenchel.errors import FenchelError
from fenchel.values import COMMIT_TS, INT64_MAX, Value
from tests.database.helpers import (
    field_equals,
    index_range,
    insert,
    is_invalidated,
    push,
    query,
    scan,
    schema,
)

PENDING = {"$commitTs": None}


def typed(kind: str) -> str:
    fields = {"ts": {"fieldType": {"type": kind}, "optional": False}}
    tables = {"events": {"indexes": {"by_ts": ["ts"]}, "type": {"type": "object", "value": fields}}}
    return schema(tables)


SCHEMA = typed("commitTs")


async def test_every_placeholder_becomes_the_commit_timestamp(any_database: Database) -> None:
    tx = any_database.begin()
    value: dict[str, Value] = {"ts": COMMIT_TS, "deep": {"list": [1.0, {"ts": COMMIT_TS}]}}
    first = await tx.user().insert("events", value)
    second = await tx.user().insert("others", {"ts": COMMIT_TS})
    ts = await any_database.commit(tx)
    after = any_database.begin()
    found = await after.user().get(first)
    assert found is not None
    assert found.value["ts"] == ts
    assert found.value["deep"] == {"list": [1.0, {"ts": ts}]}
    assert "$commitTs" not in found.value_json
    other = await after.user().get(second)
    assert other is not None
    assert other.value["ts"] == ts


async def test_the_same_transaction_reads_the_placeholder_back_and_sorts_it_last(
    database: Database,
) -> None:
    await push(database, SCHEMA)
    await insert(database, "events", {"ts": 5}, {"ts": INT64_MAX - 1})
    tx = database.begin()
    id_text = await tx.user().insert("events", {"ts": COMMIT_TS})
    assert await query(tx, index_range("events.by_ts"), "ts") == [5, INT64_MAX - 1, COMMIT_TS]
    own = index_range("events.by_ts", ("ts", "Eq", PENDING))
    assert await query(tx, own, "ts") == [COMMIT_TS]
    assert await query(tx, scan("events", field_equals("ts", PENDING)), "ts") == [COMMIT_TS]
    found = await tx.user().get(id_text)
    assert found is not None
    assert '"ts":{"$commitTs":null}' in found.value_json
    assert (await tx.user().patch(id_text, {"ts": COMMIT_TS})).value["ts"] is COMMIT_TS
    assert tx.usage.documents_written == 1, "the same placeholder again is no write"


async def test_index_entries_follow_the_commit_timestamp(any_database: Database) -> None:
    await push(any_database, SCHEMA)
    (old,) = await insert(any_database, "events", {"ts": 5})
    tx = any_database.begin()
    await tx.user().patch(old, {"ts": COMMIT_TS})
    await tx.user().insert("events", {"ts": COMMIT_TS})
    ts = await any_database.commit(tx)
    after = any_database.begin()
    assert await query(after, index_range("events.by_ts"), "ts") == [ts, ts]
    exactly = index_range("events.by_ts", ("ts", "Eq", {"$integer": _encode(ts)}))
    assert await query(after, exactly, "ts") == [ts, ts]
    assert await query(after, index_range("events.by_ts", ("ts", "Eq", PENDING)), "ts") == []
    assert await query(after, index_range("events.by_ts", ("ts", "Lt", PENDING)), "ts") == [ts, ts]


async def test_timestamps_grow_with_the_commits(database: Database) -> None:
    found: list[int] = []
    for _ in range(3):
        (id_text,) = await insert(database, "events", {"ts": COMMIT_TS})
        document = await database.begin().user().get(id_text)
        assert document is not None
        ts = document.value["ts"]
        assert isinstance(ts, int)
        found.append(ts)
    assert found == sorted(set(found))


async def test_a_reader_of_the_resolved_range_is_invalidated(database: Database) -> None:
    await push(database, SCHEMA)
    reader = database.begin()
    now = database.latest_ts()
    later = {"$integer": _encode(now)}
    assert await query(reader, index_range("events.by_ts", ("ts", "Gt", later))) == []
    bounded = database.begin()
    end = {"$integer": _encode(now + 3_600 * 10**9)}
    between = index_range("events.by_ts", ("ts", "Gt", later), ("ts", "Lt", end))
    assert await query(bounded, between) == []
    await insert(database, "events", {"ts": COMMIT_TS})
    assert is_invalidated(database, reader)
    assert is_invalidated(database, bounded), "the entry stands at the timestamp, not at the end"


@pytest.mark.parametrize("kind", ["commitTs", "bigint", "any"])
async def test_validators_of_integers_accept_it(database: Database, kind: str) -> None:
    await push(database, typed(kind))
    await insert(database, "events", {"ts": COMMIT_TS})


async def test_other_validators_refuse_it(database: Database) -> None:
    await push(database, typed("number"))
    with pytest.raises(FenchelError) as caught:
        await insert(database, "events", {"ts": COMMIT_TS})
    assert caught.value.code == "SchemaEnforcementError"


async def test_a_rolled_back_level_leaves_no_placeholder(database: Database) -> None:
    tx = database.begin()
    tx.begin_subtransaction()
    await tx.user().insert("events", {"ts": COMMIT_TS})
    tx.rollback_subtransaction()
    await tx.user().insert("kept", {"n": 1.0})
    await database.commit(tx)
    assert await query(database.begin(), scan("events"), "ts") == []


def _encode(number: int) -> str:
    return base64.b64encode(number.to_bytes(8, "little")).decode()
