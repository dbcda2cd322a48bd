"""Which responses are kept, and how much of them."""

from __future__ import annotations

import pytest

from fenchel.runtime import SystemClock
from fenchel.server.answer_cache import AnswerCache, answer_key

JSON = (b"content-type", b"application/json")


def yes() -> bool:
    return True


@pytest.fixture
def cache() -> AnswerCache:
    return AnswerCache(SystemClock(), bytes_max=10_000)


class TestAnswerCache:
    def test_an_answer_is_found_as_long_as_it_may_be_repeated(self, cache: AnswerCache) -> None:
        holds = True
        cache.store((b"key",), b"answer", lambda: holds)
        assert cache.find((b"key",)) == b"answer"
        holds = False
        assert cache.find((b"key",)) is None
        holds = True
        assert cache.find((b"key",)) is None
        cache.check_invariants()

    def test_asking_is_what_repeats(self, cache: AnswerCache) -> None:
        asked = iter([True, False])
        cache.store((b"key",), b"answer", lambda: next(asked))
        assert cache.find((b"other",)) is None
        assert [cache.find((b"key",)) for _ in range(3)] == [b"answer", None, None]

    def test_the_answer_asked_for_longest_ago_makes_room(self, cache: AnswerCache) -> None:
        for name in (b"a", b"b", b"c"):
            cache.store((name,), b"x" * 2_000, yes)
        cache.find((b"a",))
        cache.store((b"d",), b"x" * 2_000, yes)
        assert [name for name in (b"a", b"b", b"c", b"d") if cache.find((name,))] == [
            *(b"a", b"c", b"d")
        ]
        cache.check_invariants()

    def test_a_response_larger_than_the_cache_is_not_kept(self, cache: AnswerCache) -> None:
        cache.store((b"key",), b"x" * 10_000, yes)
        assert cache.find((b"key",)) is None
        cache.check_invariants()

    def test_storing_again_replaces(self, cache: AnswerCache) -> None:
        cache.store((b"key",), b"x" * 5_000, yes)
        cache.store((b"key",), b"y" * 5_000, yes)
        assert cache.find((b"key",)) == b"y" * 5_000
        cache.check_invariants()

    def test_a_closed_cache_keeps_nothing(self, cache: AnswerCache) -> None:
        cache.store((b"key",), b"answer", yes)
        cache.close()
        assert cache.find((b"key",)) is None
        cache.store((b"key",), b"answer", yes)
        assert cache.find((b"key",)) is None
        cache.check_invariants()


class TestAnswerKey:
    def test_headers_that_change_nothing_do_not_matter(self) -> None:
        plain = answer_key(b"{}", [JSON])
        assert answer_key(b"{}", [(b"host", b"a"), JSON, (b"user-agent", b"b")]) == plain
        assert answer_key(b"{ }", [JSON]) != plain

    @pytest.mark.parametrize(
        "name",
        [
            *(b"accept-encoding", b"authorization", b"content-type", b"convex-client", b"origin"),
        ],
    )
    def test_headers_that_change_the_answer_do(self, name: bytes) -> None:
        keys = {answer_key(b"{}", headers) for headers in ([], [(name, b"a")], [(name, b"b")])}
        assert len(keys) == 3

    def test_a_name_is_not_mistaken_for_a_value(self) -> None:
        ours = answer_key(b"{}", [(b"origin", b"convex-client"), (b"convex-client", b"x")])
        assert ours != answer_key(b"{}", [(b"convex-client", b"origin"), (b"origin", b"x")])

    @pytest.mark.parametrize("name", [b"convex-request-id", b"content-encoding"])
    def test_some_requests_are_for_themselves_only(self, name: bytes) -> None:
        assert answer_key(b"{}", [JSON, (name, b"1")]) is None
