"""Whether what concurrent clients saw could have happened one transaction after the other.

Transactions append unique numbers to lists and read whole lists. A list shows the order of its
writers, so the dependencies follow from the reads alone; a cycle among them, together with the
order in real time, disproves strict serializability. Pure. Source: K. Kingsbury and P. Alvaro,
"Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from fenchel.testing.dependency_graph import Dependency, DependencyGraph


class Append(NamedTuple):
    key: str
    value: int


class Read(NamedTuple):
    key: str
    values: tuple[int, ...]


class Status(Enum):
    COMMITTED = "committed"
    FAILED = "failed"
    # The answer was lost: it may have happened, or happen later.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTransaction:
    """What a client did and saw. `begun` and `ended` count events of the whole run in real
    time."""

    operations: tuple[Append | Read, ...]
    status: Status
    begun: int
    ended: int


class Anomaly(NamedTuple):
    name: str
    explanation: str


class _ExternalRead(NamedTuple):
    """The committed version of a list that a transaction began with: its first `length` values."""

    transaction: int
    key: str
    length: int
    last: int | None


@dataclass(frozen=True, slots=True)
class _Appends:
    """Who appended what: each value once."""

    writers: dict[tuple[str, int], int]
    # The value that each transaction appended last to each list.
    final: dict[tuple[int, str], int]


def find_anomalies(history: Sequence[ListTransaction]) -> list[Anomaly]:
    """Empty if the history is strictly serializable as far as its reads can tell.

    Raises: ValueError if a value was appended twice to a list; nothing follows from such a history.
    """
    appends = _collect_appends(history)
    anomalies: list[Anomaly] = []
    reads: list[_ExternalRead] = []
    longest: dict[str, tuple[int, ...]] = {}
    for number, transaction in enumerate(history):
        if transaction.status is Status.COMMITTED:
            anomalies += _check_reads(number, transaction, history, appends)
            reads += _external_reads(number, transaction)
            for read in _reads(transaction):
                if len(read.values) > len(longest.get(read.key, ())):
                    longest[read.key] = read.values
    anomalies += _check_orders(history, longest)
    anomalies += _lost_updates(history, reads)
    if anomalies:
        return anomalies
    graph = _build_graph(history, appends, reads, longest)
    return [Anomaly(cycle.name, str(cycle)) for cycle in graph.find_cycles()]


def _collect_appends(history: Sequence[ListTransaction]) -> _Appends:
    writers: dict[tuple[str, int], int] = {}
    final: dict[tuple[int, str], int] = {}
    for number, transaction in enumerate(history):
        for operation in transaction.operations:
            if isinstance(operation, Append):
                if operation in writers:
                    raise ValueError(f"appended twice: {operation}")
                writers[operation.key, operation.value] = number
                final[number, operation.key] = operation.value
    return _Appends(writers, final)


def _reads(transaction: ListTransaction) -> Iterable[Read]:
    return (operation for operation in transaction.operations if isinstance(operation, Read))


def _check_reads(
    number: int,
    transaction: ListTransaction,
    history: Sequence[ListTransaction],
    appends: _Appends,
) -> Iterable[Anomaly]:
    """What one transaction must not have seen, whatever the others did."""
    yield from _check_own_view(number, transaction)
    for read in _reads(transaction):
        label = f"T{number} read {read}"
        if len(set(read.values)) != len(read.values):
            yield Anomaly("duplicate", label)
        for value in read.values:
            writer = appends.writers.get((read.key, value))
            if writer is None:
                yield Anomaly("garbage read", f"{label}: nobody appended {value}")
            elif history[writer].status is Status.FAILED:
                yield Anomaly("G1a", f"{label}: T{writer}, which appended {value}, failed")
    for external in _external_reads(number, transaction):
        if external.last is None:
            continue
        writer = appends.writers.get((external.key, external.last), number)
        if writer != number and appends.final[writer, external.key] != external.last:
            yield Anomaly("G1b", f"T{number} saw T{writer} between its appends: {external}")


def _check_own_view(number: int, transaction: ListTransaction) -> Iterable[Anomaly]:
    """Each read shows what the one before showed, and what was appended since."""
    known: dict[str, tuple[int, ...]] = {}
    appended: dict[str, tuple[int, ...]] = {}
    for operation in transaction.operations:
        key = operation.key
        own = appended.get(key, ())
        if isinstance(operation, Append):
            appended[key] = (*own, operation.value)
            continue
        if key in known:
            is_expected = operation.values == known[key] + own
        else:
            is_expected = not own or operation.values[-len(own) :] == own
        if not is_expected:
            yield Anomaly("internal", f"T{number} read {operation} after its own {own}")
        known[key] = operation.values
        appended[key] = ()


def _external_reads(number: int, transaction: ListTransaction) -> list[_ExternalRead]:
    """The first read of each list, without what the transaction had appended itself."""
    found: dict[str, _ExternalRead] = {}
    own: Counter[str] = Counter()
    for operation in transaction.operations:
        if isinstance(operation, Append):
            own[operation.key] += 1
        elif operation.key not in found:
            length = max(len(operation.values) - own[operation.key], 0)
            last = operation.values[length - 1] if length else None
            found[operation.key] = _ExternalRead(number, operation.key, length, last)
    return list(found.values())


def _check_orders(
    history: Sequence[ListTransaction], longest: dict[str, tuple[int, ...]]
) -> Iterable[Anomaly]:
    """All reads of a list must be beginnings of its longest."""
    for number, transaction in enumerate(history):
        if transaction.status is Status.COMMITTED:
            for read in _reads(transaction):
                if longest.get(read.key, ())[: len(read.values)] != read.values:
                    yield Anomaly("incompatible order", f"T{number} read {read}")


def _lost_updates(
    history: Sequence[ListTransaction], reads: Iterable[_ExternalRead]
) -> Iterable[Anomaly]:
    """Two that read the same version of a list and both appended to it."""
    updaters: dict[tuple[str, int | None], int] = {}
    for read in reads:
        operations = history[read.transaction].operations
        if any(isinstance(done, Append) and done.key == read.key for done in operations):
            other = updaters.setdefault((read.key, read.last), read.transaction)
            if other != read.transaction:
                explanation = f"T{other} and T{read.transaction} both appended to {read}"
                yield Anomaly("lost update", explanation)


def _build_graph(
    history: Sequence[ListTransaction],
    appends: _Appends,
    reads: Iterable[_ExternalRead],
    longest: dict[str, tuple[int, ...]],
) -> DependencyGraph:
    graph = DependencyGraph(len(history))
    orders = {key: [appends.writers[key, v] for v in values] for key, values in longest.items()}
    unseen = _unseen_writers(history, appends, longest)
    for writers in orders.values():
        for before, after in pairwise(writers):
            graph.add(before, after, Dependency.WW)
    for read in reads:
        writers = orders.get(read.key, [])
        if read.length:
            graph.add(writers[read.length - 1], read.transaction, Dependency.WR)
        followers = writers[read.length : read.length + 1] or unseen.get(read.key, [])
        for follower in followers:
            graph.add(read.transaction, follower, Dependency.RW)
    _add_real_time(graph, history)
    return graph


def _unseen_writers(
    history: Sequence[ListTransaction], appends: _Appends, longest: dict[str, tuple[int, ...]]
) -> dict[str, list[int]]:
    """Who appended what nobody saw: it must come after every read of the list."""
    seen = {(key, value) for key, values in longest.items() for value in values}
    unseen: dict[str, list[int]] = {}
    for appended, writer in appends.writers.items():
        if appended not in seen and history[writer].status is Status.COMMITTED:
            unseen.setdefault(appended[0], []).append(writer)
    return unseen


def _add_real_time(graph: DependencyGraph, history: Sequence[ListTransaction]) -> None:
    """Ends form a chain of moments; who begins later hangs on the newest: linear, not quadratic."""
    ends = sorted(
        (transaction.ended, number)
        for number, transaction in enumerate(history)
        if transaction.status is Status.COMMITTED
    )
    moments = [graph.add_node() for _ in ends]
    for place, (_, number) in enumerate(ends):
        graph.add(number, moments[place], Dependency.REAL_TIME)
        if place:
            graph.add(moments[place - 1], moments[place], Dependency.REAL_TIME)
    end_times = [ended for ended, _ in ends]
    for number, transaction in enumerate(history):
        place = bisect_left(end_times, transaction.begun)
        if place:
            graph.add(moments[place - 1], number, Dependency.REAL_TIME)
