import random

from fenchel.persistence import SegmentedCache


def filled(*keys: int, weight_max: int = 100) -> SegmentedCache[int, str]:
    """Entries of weight 10."""
    cache: SegmentedCache[int, str] = SegmentedCache(weight_max)
    for key in keys:
        cache.add(key, f"entry {key}", 10)
    return cache


def test_one_pass_over_everything_leaves_what_was_used_twice() -> None:
    cache = filled(*range(8))
    assert all(cache.find(key) for key in range(8))
    for key in range(100, 1_000):
        cache.add(key, "scanned", 10)
    assert [cache.peek(key) for key in range(8)] == [f"entry {key}" for key in range(8)]
    cache.check_invariants()


def test_new_entries_have_their_share_beside_the_kept_ones() -> None:
    cache = filled(*range(10))
    assert all(cache.find(key) for key in range(10))
    cache.add(100, "new", 10)
    cache.add(101, "new", 10)
    assert cache.peek(100) == cache.peek(101) == "new"
    assert cache.peek(0) is None
    cache.check_invariants()


def test_what_had_to_go_is_told() -> None:
    cache = filled(1, 2, weight_max=20)
    assert cache.add(3, "entry 3", 10) == ["entry 1"]
    assert cache.add(4, "large", 30) == ["entry 2", "entry 3", "large"]


def test_an_entry_is_replaced_where_it_stands() -> None:
    cache = filled(1, 2)
    assert cache.find(1)
    cache.add(1, "changed", 30)
    cache.add(2, "changed", 5)
    assert cache.find(1) == cache.find(2) == "changed"
    cache.check_invariants()


def test_any_use_keeps_the_books_balanced() -> None:
    source = random.Random(5)
    cache: SegmentedCache[int, int] = SegmentedCache(200)
    model: dict[int, int] = {}
    for step in range(5_000):
        key = source.randrange(40)
        match source.randrange(3):
            case 0:
                model[key] = step
                cache.add(key, step, source.choice((1, 10, 70, 300)))
            case 1:
                cache.remove(key)
                assert cache.peek(key) is None
            case _:
                assert cache.find(key) in (None, model.get(key))
        cache.check_invariants()
