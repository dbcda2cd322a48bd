"""The interval map answers as the read set's own predicate does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fenchel.database.interval_map import IntervalMap
from fenchel.documents import Interval

keys = st.binary(max_size=3).map(lambda key: key.replace(b"\xff", b"\x01"))
intervals = st.one_of(
    st.builds(Interval, keys, st.one_of(st.none(), keys)),
    keys.map(lambda key: Interval(key, key + b"\x00")),
)


@given(
    steps=st.lists(st.tuples(st.booleans(), intervals, st.integers(0, 3)), max_size=40),
    probes=st.lists(keys, max_size=10),
)
def test_it_finds_what_a_scan_of_all_intervals_finds(
    steps: list[tuple[bool, Interval, int]], probes: list[bytes]
) -> None:
    index_map: IntervalMap[int] = IntervalMap()
    model: set[tuple[Interval, int]] = set()
    for is_removal, interval, subscriber in steps:
        if interval.is_empty:
            continue
        if is_removal and (interval, subscriber) in model:
            index_map.remove(interval, subscriber)
            model.remove((interval, subscriber))
        elif not is_removal:
            index_map.add(interval, subscriber)
            model.add((interval, subscriber))
        index_map.check_invariants()
    for key in probes:
        assert index_map.find(key) == {s for interval, s in model if interval.contains(key)}
    assert bool(index_map) == bool(model)


def test_an_empty_interval_is_never_found() -> None:
    index_map: IntervalMap[str] = IntervalMap()
    index_map.add(Interval(b"b", b"a"), "nobody")
    assert not index_map
    index_map.remove(Interval(b"b", b"a"), "nobody")
