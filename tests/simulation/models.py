"""Race models: what one transaction does, and what must then hold in every snapshot.

A model is a program that goes wrong if transactions are not isolated, and a line that says how one
would see it. Any model runs in any simulation.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fenchel.database import Transaction
from fenchel.testing.list_append import Append, ListTransaction, Read, Status, find_anomalies
from fenchel.values import Value
from tests.database.helpers import index_range, limit, scan, schema

SCHEMA = schema(
    {
        "accounts": {},
        "doctors": {},
        "tickets": {"indexes": {"by_group": ["group"]}},
        "names": {"indexes": {"by_name": ["name"]}},
        "jobs": {},
        "done": {},
        "lists": {"indexes": {"by_key": ["key"]}},
    },
    validation=False,
)

Document = dict[str, Any]


@dataclass
class Attempt:
    """One run of a model's step: `result` is None until the step is through."""

    status: Status
    begun: int
    ended: int = 0
    result: Any = None


class Model(Protocol):
    async def set_up(self, tx: Transaction) -> None: ...

    async def step(self, tx: Transaction, source: random.Random, serial: int) -> Any:
        """One transaction. `serial` is different for each attempt of the run."""
        ...

    async def view(self, tx: Transaction) -> Any:
        """What a subscriber watches: all that `check` needs."""
        ...

    def check(self, view: Any) -> None:
        """The invariant, in any snapshot."""
        ...

    def check_end(self, view: Any, attempts: Sequence[Attempt]) -> None:
        """The last snapshot against what the clients were told."""
        ...


async def documents(tx: Transaction, query: dict[str, Any]) -> list[Document]:
    stream = tx.user().open_stream(query)
    found = []
    while (document := await stream.next()) is not None:
        found.append(dict(document.value))
    return found


def results(attempts: Sequence[Attempt], *statuses: Status) -> list[Any]:
    return [a.result for a in attempts if a.status in statuses and a.result is not None]


class BankTransfer:
    """Money moves between accounts; none appears, vanishes, or goes below zero."""

    total = 500.0

    async def set_up(self, tx: Transaction) -> None:
        for _ in range(5):
            await tx.user().insert("accounts", {"balance": self.total / 5})

    async def step(self, tx: Transaction, source: random.Random, serial: int) -> Value:
        accounts = await documents(tx, scan("accounts"))
        giver, taker = source.sample(accounts, 2)
        amount = float(source.randint(0, 40))
        if giver["balance"] < amount:
            return None
        await tx.user().patch(giver["_id"], {"balance": giver["balance"] - amount})
        await tx.user().patch(taker["_id"], {"balance": taker["balance"] + amount})
        self.check(await self.view(tx))
        return None

    async def view(self, tx: Transaction) -> list[float]:
        return [account["balance"] for account in await documents(tx, scan("accounts"))]

    def check(self, view: list[float]) -> None:
        assert sum(view) == self.total
        assert min(view) >= 0

    def check_end(self, view: list[float], attempts: Sequence[Attempt]) -> None:
        self.check(view)


class WriteSkew:
    """A doctor may leave if another one stays; each writes only her own row."""

    async def set_up(self, tx: Transaction) -> None:
        for _ in range(4):
            await tx.user().insert("doctors", {"isOnCall": True})

    async def step(self, tx: Transaction, source: random.Random, serial: int) -> Value:
        doctors = await documents(tx, scan("doctors"))
        doctor = source.choice(doctors)
        may_leave = sum(other["isOnCall"] for other in doctors) > 1
        if not doctor["isOnCall"] or may_leave:
            await tx.user().patch(doctor["_id"], {"isOnCall": not doctor["isOnCall"]})
        return None

    async def view(self, tx: Transaction) -> list[bool]:
        return [doctor["isOnCall"] for doctor in await documents(tx, scan("doctors"))]

    def check(self, view: list[bool]) -> None:
        assert any(view), "nobody is on call"

    def check_end(self, view: list[bool], attempts: Sequence[Attempt]) -> None:
        self.check(view)


class PhantomCounter:
    """A ticket's number is how many its group had: counting depends on rows that are not there."""

    async def set_up(self, tx: Transaction) -> None:
        await tx.user().insert("tickets", {"group": "a", "number": 0.0})

    async def step(self, tx: Transaction, source: random.Random, serial: int) -> Value:
        group = source.choice("ab")
        taken = await documents(tx, index_range("tickets.by_group", ("group", "Eq", group)))
        number = float(len(taken))
        await tx.user().insert("tickets", {"group": group, "number": number})
        return [group, number]

    async def view(self, tx: Transaction) -> list[list[Value]]:
        tickets = await documents(tx, scan("tickets"))
        assert await tx.user().count("tickets") == len(tickets)
        return sorted([ticket["group"], ticket["number"]] for ticket in tickets)

    def check(self, view: list[list[Any]]) -> None:
        for group in "ab":
            numbers = [number for of, number in view if of == group]
            assert numbers == [float(n) for n in range(len(numbers))]

    def check_end(self, view: list[list[Any]], attempts: Sequence[Attempt]) -> None:
        promised = results(attempts, Status.COMMITTED)
        assert all(ticket in view for ticket in promised)
        possible = [*promised, *results(attempts, Status.UNKNOWN), ["a", 0.0]]
        assert all(ticket in possible for ticket in view)


class UniqueName:
    """A name is inserted if it is free, or given back; it never has two owners."""

    async def set_up(self, tx: Transaction) -> None:
        await tx.user().insert("names", {"name": "n0", "owner": -1.0})

    async def step(self, tx: Transaction, source: random.Random, serial: int) -> Value:
        name = f"n{source.randrange(6)}"
        taken = await documents(tx, index_range("names.by_name", ("name", "Eq", name)))
        if taken:
            await tx.user().delete(taken[0]["_id"])
        else:
            await tx.user().insert("names", {"name": name, "owner": float(serial)})
        return None

    async def view(self, tx: Transaction) -> list[str]:
        return sorted(row["name"] for row in await documents(tx, scan("names")))

    def check(self, view: list[str]) -> None:
        assert len(set(view)) == len(view), "a name with two owners"

    def check_end(self, view: list[str], attempts: Sequence[Attempt]) -> None:
        self.check(view)


class QueuePop:
    """Jobs are taken from the front; each is done at most once and none is lost."""

    async def set_up(self, tx: Transaction) -> None:
        await tx.user().insert("jobs", {"serial": -1.0})
        await tx.user().insert("done", {"serial": -2.0})

    async def step(self, tx: Transaction, source: random.Random, serial: int) -> Value:
        if source.random() < 0.5:
            await tx.user().insert("jobs", {"serial": float(serial)})
            return ["pushed", float(serial)]
        front = await documents(tx, scan("jobs", limit(1)))
        if not front:
            return None
        await tx.user().delete(front[0]["_id"])
        await tx.user().insert("done", {"serial": front[0]["serial"]})
        return ["popped", front[0]["serial"]]

    async def view(self, tx: Transaction) -> dict[str, list[float]]:
        return {
            table: [row["serial"] for row in await documents(tx, scan(table))]
            for table in ("jobs", "done")
        }

    def check(self, view: dict[str, list[float]]) -> None:
        counts = Counter(view["jobs"] + view["done"])
        assert set(counts.values()) == {1}, "a job twice"

    def check_end(self, view: dict[str, list[float]], attempts: Sequence[Attempt]) -> None:
        for kind, serial in results(attempts, Status.COMMITTED):
            assert serial in (view["done"] if kind == "popped" else view["jobs"] + view["done"])
        pushed = results(attempts, Status.COMMITTED, Status.UNKNOWN)
        possible = {-1.0, -2.0, *(serial for kind, serial in pushed if kind == "pushed")}
        assert possible.issuperset(view["jobs"] + view["done"])


class ListAppend:
    """Lists that are appended to and read; the checker of `list_append` judges the history."""

    keys = ("a", "b", "c")

    async def set_up(self, tx: Transaction) -> None:
        await tx.user().insert("lists", {"key": "a", "values": []})

    async def step(self, tx: Transaction, source: random.Random, serial: int) -> Any:
        operations: list[Append | Read] = []
        for place in range(source.randint(1, 4)):
            key = source.choice(self.keys)
            if source.random() < 0.5:
                operations.append(await append(tx, key, serial * 10 + place))
            else:
                operations.append(await read(tx, key))
        return tuple(operations)

    async def view(self, tx: Transaction) -> dict[str, tuple[int, ...]]:
        return {key: (await read(tx, key)).values for key in self.keys}

    def check(self, view: dict[str, tuple[int, ...]]) -> None:
        assert all(len(set(values)) == len(values) for values in view.values())

    def check_end(self, view: dict[str, tuple[int, ...]], attempts: Sequence[Attempt]) -> None:
        last = 1 + max((attempt.ended for attempt in attempts), default=0)
        history = [
            ListTransaction(
                operations=attempt.result or (),
                status=attempt.status,
                begun=attempt.begun,
                ended=attempt.ended,
            )
            for attempt in attempts
        ]
        final = tuple(Read(key, values) for key, values in view.items())
        history.append(
            ListTransaction(operations=final, status=Status.COMMITTED, begun=last, ended=last + 1)
        )
        assert find_anomalies(history) == []


async def read(tx: Transaction, key: str) -> Read:
    return Read(key, tuple(map(int, (await _list_row(tx, key))["values"])))


async def append(tx: Transaction, key: str, value: int) -> Append:
    row = await _list_row(tx, key)
    values = [*row["values"], float(value)]
    if "_id" in row:
        await tx.user().patch(row["_id"], {"values": values})
    else:
        await tx.user().insert("lists", {"key": key, "values": values})
    return Append(key, value)


async def _list_row(tx: Transaction, key: str) -> Document:
    """The list's document; one without an id if there is none yet."""
    rows = await documents(tx, index_range("lists.by_key", ("key", "Eq", key)))
    assert len(rows) <= 1
    return rows[0] if rows else {"values": []}


MODELS: dict[str, type[Model]] = {
    "bank_transfer": BankTransfer,
    "write_skew": WriteSkew,
    "phantom_counter": PhantomCounter,
    "unique_name": UniqueName,
    "queue_pop": QueuePop,
    "list_append": ListAppend,
}
