"""Whose turn it is among clients that want differently much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fenchel.isolate.fair_queue import FairQueue


def drain(queue: FairQueue[str]) -> list[str]:
    taken = []
    while queue:
        taken.append(queue.first)
        queue.remove_first()
        queue.check_invariants()
    return taken


def test_clients_are_served_in_turn() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(5):
        queue.add(f"a{number}", "a")
    queue.add("b0", "b")
    queue.add("b1", "b")
    queue.add("c0", "c")
    assert drain(queue) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]


def test_a_client_that_comes_back_stands_behind_those_who_waited() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("a0", "a")
    queue.add("b0", "b")
    queue.remove_first()
    queue.add("a1", "a")
    assert drain(queue) == ["b0", "a1"]


def test_who_goes_ahead_comes_first_in_the_order_of_arrival() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.add("a0", "a")
    queue.add_ahead("x")
    queue.add_ahead("y")
    assert drain(queue) == ["x", "y", "a0"]


def test_the_client_that_has_most_makes_room() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.add(f"a{number}", "a")
    queue.add("b0", "b")
    assert queue.last_of_longest("b") == "a2"
    assert queue.last_of_longest("c") == "a2"
    assert queue.last_of_longest("a") is None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["add", "ahead", "first", "leave"]))))
def test_nobody_is_lost_or_served_twice(steps: list[tuple[int, str]]) -> None:
    queue: FairQueue[int] = FairQueue()
    clients: dict[int, str] = {}
    for item, (client, step) in enumerate(steps):
        if step in ("add", "ahead"):
            clients[item] = str(client)
            if step == "add":
                queue.add(item, str(client))
            else:
                queue.add_ahead(item)
        elif step == "first" and queue:
            del clients[queue.first]
            queue.remove_first()
        elif step == "leave":
            leaver = next(iter(clients), -1)
            assert queue.discard(leaver, clients.pop(leaver, "")) == (leaver >= 0)
        queue.check_invariants()
        assert len(queue) == len(clients)
