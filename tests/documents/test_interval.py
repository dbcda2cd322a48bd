"""Intervals and their sets, against a naive model: a set of points."""

from hypothesis import given
from hypothesis import strategies as st

from fenchel.documents import (
    ALL_KEYS,
    Interval,
    IntervalSet,
    after_prefix,
    key_interval,
    prefix_interval,
)

keys = st.binary(max_size=2).map(lambda key: bytes(byte % 3 for byte in key))
intervals = st.builds(Interval, keys, st.none() | keys)
POINTS = [b"", *(bytes(p) for p in [(a,) for a in range(3)])] + [
    bytes((a, b, *c)) for a in range(3) for b in range(3) for c in [(), (0,), (1,)]
]


@given(st.lists(intervals, max_size=8))
def test_a_set_holds_what_its_intervals_hold(added):
    interval_set = IntervalSet()
    for interval in added:
        interval_set.add(interval)
        interval_set.check_invariants()
    for point in POINTS:
        assert interval_set.contains(point) == any(i.contains(point) for i in added)


@given(st.lists(intervals, max_size=6), intervals)
def test_overlap_is_a_common_key(added, probe):
    interval_set = IntervalSet()
    for interval in added:
        interval_set.add(interval)
    expected = any(not member.intersection(probe).is_empty for member in interval_set)
    assert interval_set.overlaps(probe) == expected


@given(st.lists(intervals, max_size=6))
def test_the_order_of_adding_does_not_matter(added):
    forward, backward = IntervalSet(), IntervalSet()
    for interval in added:
        forward.add(interval)
    for interval in reversed(added):
        backward.add(interval)
    assert forward == backward
    assert list(forward) == sorted(forward)


@given(intervals, intervals)
def test_the_intersection_holds_what_both_hold(a, b):
    both = a.intersection(b)
    for point in POINTS:
        assert both.contains(point) == (a.contains(point) and b.contains(point))


def test_touching_intervals_become_one():
    interval_set = IntervalSet()
    interval_set.add(Interval(b"a", b"b"))
    interval_set.add(Interval(b"c", b"d"))
    assert len(interval_set) == 2
    interval_set.add(Interval(b"b", b"c"))
    assert list(interval_set) == [Interval(b"a", b"d")]


def test_a_copy_stands_alone():
    original = IntervalSet()
    original.add(Interval(b"a", b"b"))
    copy = original.copy()
    copy.add(ALL_KEYS)
    assert list(original) == [Interval(b"a", b"b")]
    assert original != copy


def test_one_key_and_prefixes():
    assert key_interval(b"k").contains(b"k")
    assert not key_interval(b"k").contains(b"k\x00")
    assert prefix_interval(b"") == ALL_KEYS
    assert after_prefix(b"") is None
    assert prefix_interval(b"\x01").contains(b"\x01\x15\x00")
    assert not prefix_interval(b"\x01").contains(b"\x03")


def test_an_empty_interval_adds_nothing():
    interval_set = IntervalSet()
    interval_set.add(Interval(b"b", b"a"))
    assert len(interval_set) == 0
    assert not interval_set.overlaps(ALL_KEYS)
    interval_set.add(ALL_KEYS)
    assert not interval_set.overlaps(Interval(b"b", b"a"))
    assert repr(interval_set) == "IntervalSet([Interval(start=b'', end=None)])"


@given(st.lists(intervals | keys.map(key_interval), max_size=6), st.dictionaries(keys, st.just(9)))
def test_only_single_keys_without_news_are_left_out(added, newest):
    interval_set = IntervalSet()
    for interval in added:
        interval_set.add(interval)
    kept = [m for m in interval_set if not m.is_point or m.start in newest]
    rest = interval_set.without_quiet_points(newest, 5)
    assert (rest is None) == (not kept)
    assert list(rest or ()) == kept
    kept = [m for m in interval_set if not m.is_point]
    assert list(interval_set.without_quiet_points(newest, 9) or ()) == kept
