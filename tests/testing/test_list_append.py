"""The checker finds what it is for: each anomaly of the literature, in its smallest history."""

from __future__ import annotations

import random

import pytest

from fenchel.testing.list_append import (
    Append,
    ListTransaction,
    Read,
    Status,
    find_anomalies,
)

Operation = Append | Read


def a(key: str, value: int) -> Append:
    return Append(key, value)


def r(key: str, *values: int) -> Read:
    return Read(key, values)


def concurrent(*transactions: tuple[Operation, ...]) -> list[ListTransaction]:
    """All overlap: real time says nothing."""
    return [
        ListTransaction(operations=operations, status=Status.COMMITTED, begun=0, ended=100 + place)
        for place, operations in enumerate(transactions)
    ]


def one_after_the_other(*transactions: tuple[Operation, ...]) -> list[ListTransaction]:
    return [
        ListTransaction(
            operations=operations, status=Status.COMMITTED, begun=2 * place, ended=2 * place + 1
        )
        for place, operations in enumerate(transactions)
    ]


def with_status(status: Status, *operations: Operation) -> ListTransaction:
    return ListTransaction(operations=operations, status=status, begun=0, ended=100)


def names(history: list[ListTransaction]) -> set[str]:
    return {anomaly.name for anomaly in find_anomalies(history)}


def test_a_serial_history_has_no_anomaly() -> None:
    history = one_after_the_other(
        (a("x", 1),),
        (r("x", 1), a("x", 2), r("x", 1, 2)),
        (a("y", 1), r("y", 1), r("x", 1, 2)),
        (r("x", 1, 2), r("y", 1)),
    )
    assert find_anomalies(history) == []


def test_concurrent_transactions_may_come_in_any_order() -> None:
    assert find_anomalies(concurrent((r("x", 1),), (a("x", 1),), (r("x"),))) == []


def test_g0_writers_that_overtake_each_other() -> None:
    history = concurrent(
        (a("x", 1), a("y", 1)), (a("x", 2), a("y", 2)), (r("x", 1, 2), r("y", 2, 1))
    )
    assert names(history) == {"G0"}


def test_g1a_an_aborted_read() -> None:
    history = [*concurrent((r("x", 1),)), with_status(Status.FAILED, a("x", 1))]
    assert names(history) == {"G1a"}


def test_g1b_an_intermediate_read() -> None:
    history = concurrent((a("x", 1), a("x", 2)), (r("x", 1),), (r("x", 1, 2),))
    assert names(history) == {"G1b"}


def test_g1c_circular_information() -> None:
    history = concurrent((a("x", 1), r("y", 1)), (a("y", 1), r("x", 1)))
    assert names(history) == {"G1c"}


def test_g_single_read_skew() -> None:
    history = concurrent((r("x"), r("y", 1)), (a("x", 1), a("y", 1)), (r("x", 1), r("y", 1)))
    assert names(history) == {"G-single"}


def test_g2_write_skew() -> None:
    history = concurrent((r("x"), a("y", 1)), (r("y"), a("x", 1)), (r("x", 1), r("y", 1)))
    assert names(history) == {"G2"}


def test_g2_is_found_even_if_nobody_saw_the_writes() -> None:
    assert names(concurrent((r("x"), a("y", 1)), (r("y"), a("x", 1)))) == {"G2"}


def test_a_lost_update() -> None:
    history = concurrent((r("x"), a("x", 1)), (r("x"), a("x", 2)), (r("x", 2),))
    assert "lost update" in names(history)


def test_a_stale_read_is_serializable_but_not_strictly() -> None:
    stale = ((a("x", 1),), (r("x"),), (r("x", 1),))
    assert names(one_after_the_other(*stale)) == {"G-single with real time"}
    assert find_anomalies(concurrent(*stale)) == []


def test_an_acknowledged_append_that_vanished() -> None:
    assert names(one_after_the_other((a("x", 1),), (r("x"),))) == {"G-single with real time"}


def test_a_read_from_the_future() -> None:
    assert names(one_after_the_other((r("x", 1),), (a("x", 1),))) == {"G1c with real time"}


def test_two_orders_of_one_list() -> None:
    history = concurrent((a("x", 1),), (a("x", 2),), (r("x", 1, 2),), (r("x", 2),))
    assert names(history) == {"incompatible order"}


@pytest.mark.parametrize(
    ("operations", "name"),
    [
        ((r("x"), a("x", 1), r("x")), "internal"),
        ((a("x", 1), r("x")), "internal"),
        ((r("x"), r("x", 1), a("x", 1)), "internal"),
        ((a("x", 1), r("x", 1, 1)), "duplicate"),
        ((r("x", 9),), "garbage read"),
    ],
)
def test_impossible_views(operations: tuple[Operation, ...], name: str) -> None:
    assert name in names(concurrent(operations))


def test_an_unknown_outcome_may_have_happened_or_not() -> None:
    unknown = with_status(Status.UNKNOWN, a("x", 1))
    assert find_anomalies([unknown, *concurrent((r("x", 1),))]) == []
    assert find_anomalies([unknown, *concurrent((r("x"),))]) == []


def test_an_unknown_outcome_cannot_come_and_go() -> None:
    unknown = with_status(Status.UNKNOWN, a("x", 1))
    history = [*one_after_the_other((r("x", 1),), (r("x"),)), unknown]
    assert names(history) == {"G-single with real time"}


def test_a_value_appended_twice_says_nothing() -> None:
    with pytest.raises(ValueError, match="appended twice"):
        find_anomalies(concurrent((a("x", 1),), (a("x", 1),)))


def test_the_explanation_names_the_cycle() -> None:
    history = concurrent((r("x"), a("y", 1)), (r("y"), a("x", 1)))
    [anomaly] = find_anomalies(history)
    assert anomaly.explanation == "G2: T0 -RW-> T1 -RW-> T0"


def random_history(seed: int, *, loses_update_at: int | None = None) -> list[ListTransaction]:
    """Serial transactions over a few lists; one of them may read before its predecessor's write."""
    source = random.Random(seed)
    lists: dict[str, list[int]] = {key: [] for key in "abcdef"}
    history = []
    before = {key: tuple(values) for key, values in lists.items()}
    for number in range(300):
        seen = before if number == loses_update_at else lists
        key, other = source.sample(sorted(lists), 2)
        operations = (Read(key, tuple(seen[key])), Read(other, tuple(seen[other])), a(key, number))
        before = {key: tuple(values) for key, values in lists.items()}
        lists[key].append(number)
        history.append(
            ListTransaction(
                operations=operations,
                status=Status.COMMITTED,
                begun=2 * number,
                ended=2 * number + 1,
            )
        )
    return history


@pytest.mark.parametrize("seed", range(5))
def test_one_stale_snapshot_among_many_is_found(seed: int) -> None:
    serial = random_history(seed)
    assert find_anomalies(serial) == []
    candidates = (random_history(seed, loses_update_at=number) for number in range(100, 300))
    stale = next(history for history in candidates if history != serial)
    assert find_anomalies(stale) != []
