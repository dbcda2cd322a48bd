"""Random transactions against a dictionary of versions.

Each transaction runs on the real database and on a model: the documents as of its begin timestamp
and its own writes over them. Every query must agree, in content and in order; a commit must
conflict exactly when a later commit changed something inside what was read, judged by the model.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenchel.database import Database, Transaction
from fenchel.errors import ConflictError, FenchelError
from fenchel.persistence import MemoryPersistence
from fenchel.runtime import Runtime
from tests.database.helpers import index_range, limit, push, scan, schema

TABLE = "items"
SCHEMA = schema({TABLE: {"indexes": {"by_n": ["n"]}}}, validation=False)
numbers = st.integers(0, 5).map(float)
Documents = dict[str, dict[str, Any]]

operations = st.one_of(
    st.tuples(st.just("insert"), numbers),
    st.tuples(st.just("patch"), st.integers(0, 9), numbers),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("get"), st.integers(0, 9)),
    st.tuples(
        st.just("range"),
        numbers,
        numbers,
        st.sampled_from(["asc", "desc"]),
        st.one_of(st.none(), st.integers(1, 3)),
    ),
    st.tuples(st.just("scan"), st.sampled_from(["asc", "desc"]), st.integers(1, 3)),
    st.tuples(st.just("begin_level")),
    st.tuples(st.just("commit_level")),
    st.tuples(st.just("rollback_level")),
)


@dataclass
class Actor:
    """One open transaction beside its model. `seen` are predicates over (id, document) it depends
    on."""

    tx: Transaction
    snapshot: Documents
    pending: Documents
    levels: list[Documents] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)


@dataclass
class World:
    """All commits so far: after each timestamp, what every document was."""

    database: Database
    documents: Documents = field(default_factory=dict)
    # (timestamp, id, before, after) of every committed change.
    changes: list[tuple[int, str, Any, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def begin(self) -> Actor:
        copy = {key: dict(value) for key, value in self.documents.items()}
        return Actor(tx=self.database.begin(), snapshot=copy, pending=dict(copy))


async def run_operation(world: World, actor: Actor, operation: tuple[Any, ...]) -> None:
    tables = actor.tx.user()
    match operation:
        case ("insert", number):
            id_text = await tables.insert(TABLE, {"n": number})
            stored = await tables.get(id_text)
            assert stored is not None
            actor.pending[id_text] = dict(stored.value)
            world.ids.append(id_text)
        case ("patch", place, number):
            id_text = pick(world, place)
            actor.seen.append(lambda key, _, wanted=id_text: key == wanted)
            with expecting(id_text in actor.pending):
                await tables.patch(id_text, {"n": number})
                actor.pending[id_text] = {**actor.pending[id_text], "n": number}
        case ("delete", place):
            id_text = pick(world, place)
            actor.seen.append(lambda key, _, wanted=id_text: key == wanted)
            with expecting(id_text in actor.pending):
                await tables.delete(id_text)
                del actor.pending[id_text]
        case ("get", place):
            id_text = pick(world, place)
            found = await tables.get(id_text)
            assert (None if found is None else found.value) == actor.pending.get(id_text)
            actor.seen.append(lambda key, _, wanted=id_text: key == wanted)
        case ("range", low, high, order, count):
            ast = index_range("items.by_n", ("n", "Gte", low), ("n", "Lte", high), order=order)
            await check_query(actor, ast, lambda d: low <= d["n"] <= high, by_n, order, count)
        case ("scan", order, count):
            await check_query(
                actor, scan(TABLE, order=order), lambda _: True, by_time, order, count
            )
        case _:
            run_level_operation(actor, operation[0])
    actor.tx.writes.check_invariants()
    actor.tx.reads.check_invariants()


def run_level_operation(actor: Actor, name: str) -> None:
    if name == "begin_level":
        actor.tx.begin_subtransaction()
        actor.levels.append(dict(actor.pending))
    elif actor.levels and name == "commit_level":
        actor.tx.commit_subtransaction()
        actor.levels.pop()
    elif actor.levels:
        actor.tx.rollback_subtransaction()
        actor.pending = actor.levels.pop()


def by_n(document: dict[str, Any]) -> tuple[Any, ...]:
    return (document["n"], document["_creationTime"], document["_id"])


def by_time(document: dict[str, Any]) -> tuple[Any, ...]:
    return (document["_creationTime"], document["_id"])


async def check_query(
    actor: Actor, ast: dict[str, Any], matches: Any, order_key: Any, order: str, count: int | None
) -> None:
    """The query gives what the model gives, and depends on as much as it consumed."""
    if count is not None:
        ast["operators"].append(limit(count))
    stream = actor.tx.user().open_stream(ast)
    found = []
    while (document := await stream.next()) is not None:
        found.append(dict(document.value))
    expected = [value for value in actor.pending.values() if matches(value)]
    expected.sort(key=order_key, reverse=order == "desc")
    assert found == expected[:count]
    last = order_key(found[-1]) if count is not None and len(found) == count else None

    def depends(_: str, document: dict[str, Any]) -> bool:
        if not matches(document):
            return False
        if last is None:
            return True
        key = order_key(document)
        return bool(key >= last if order == "desc" else key <= last)

    actor.seen.append(depends)


def pick(world: World, place: int) -> str:
    """An id that some transaction has given, committed or not. There must be one."""
    return world.ids[place % len(world.ids)]


def expecting(exists: bool) -> AbstractContextManager[object]:
    """A write to a missing document fails, and depends on its absence all the same."""
    return nullcontext() if exists else pytest.raises(FenchelError, match="NonexistentDocument")


async def finish(world: World, actor: Actor) -> None:
    """Commit; it conflicts exactly if the model says that something seen has changed."""
    while actor.levels:
        run_level_operation(actor, "commit_level")
    begin_ts = actor.tx.begin_ts
    later = [change for change in world.changes if change[0] > begin_ts]
    is_stale = any(
        document is not None and depends(id_text, document)
        for _, id_text, before, after in later
        for document in (before, after)
        for depends in actor.seen
    )
    written = {
        id_text
        for id_text in actor.snapshot.keys() | actor.pending.keys()
        if actor.snapshot.get(id_text) != actor.pending.get(id_text)
    }
    try:
        ts = await world.database.commit(actor.tx)
    except ConflictError:
        assert is_stale
        return
    if written:
        assert not is_stale
        assert ts > max((change[0] for change in world.changes), default=0)
    for id_text in written:
        before, after = actor.snapshot.get(id_text), actor.pending.get(id_text)
        world.changes.append((ts, id_text, before, after))
        world.documents.pop(id_text, None)
        if after is not None:
            world.documents[id_text] = after


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.one_of(operations, st.just(("finish",)))),
        min_size=20,
        max_size=60,
    )
)
def test_random_transactions_agree_with_the_model(steps: list[tuple[int, tuple[Any, ...]]]) -> None:
    async def run() -> None:
        database = await Database.open(MemoryPersistence(), Runtime())
        await push(database, SCHEMA)
        world = World(database)
        first = world.begin()
        for number in range(4):
            await run_operation(world, first, ("insert", float(number)))
        await finish(world, first)
        actors: dict[int, Actor] = {}
        for number, operation in steps:
            actor = actors.setdefault(number, world.begin())
            if operation == ("finish",):
                await finish(world, actors.pop(number))
            elif operation[0] in ("patch", "delete", "get") and not world.ids:
                continue
            else:
                await run_operation(world, actor, operation)
        for actor in actors.values():
            await finish(world, actor)
        database.check_invariants()
        await database.close()

    asyncio.run(run())
