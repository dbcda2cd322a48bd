"""Subscriptions: read sets that want to know about the first commit that touches them.

Runs in the publishing step of the committer, on the event loop; a commit costs what it touches, not
what is subscribed. Source: database specification 8.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from fenchel.database.commit_log import CommitLog
from fenchel.database.interval_map import IntervalMap
from fenchel.database.read_set import IndexWrite, Token
from fenchel.documents import Timestamp
from fenchel.errors import overloaded


class Subscription:
    """One watched read set.

    `is_valid` starts True, or False if a commit between the token and now touched the reads; it
    becomes False with the first such commit and stays so. `invalid_ts` is that commit's timestamp.
    """

    def __init__(
        self, token: Token, number: int, on_invalidate: Callable[[Subscription], None]
    ) -> None:
        self.token = token
        # The order of subscribing, which is the order of calling back.
        self.number = number
        self.is_valid = True
        self.invalid_ts: Timestamp | None = None
        self._on_invalidate: Callable[[Subscription], None] | None = on_invalidate
        self._manager: SubscriptionManager | None = None

    def close(self) -> None:
        """Stop watching; the callback will not run any more. A second call does nothing."""
        self._on_invalidate = None
        if self._manager is not None:
            self._manager._remove(self)
            self._manager = None

    def _invalidate(self, ts: Timestamp) -> None:
        """Valid to invalid, once; the callback runs in its own turn of the loop."""
        assert self.is_valid
        self.is_valid = False
        self.invalid_ts = ts
        asyncio.get_running_loop().call_soon(self._notify)

    def _notify(self) -> None:
        callback, self._on_invalidate = self._on_invalidate, None
        if callback is not None:
            callback(self)


class SubscriptionManager:
    """Interval maps by index over all valid subscriptions.

    Invariant: a subscription is in the maps with all its intervals, or in none and counted nowhere.
    """

    def __init__(self, log: CommitLog, *, count_max: int) -> None:
        self._log = log
        self._count_max = count_max
        self._count = 0
        self._last_number = 0
        self._maps: dict[bytes, IntervalMap[Subscription]] = {}

    @property
    def count(self) -> int:
        return self._count

    def subscribe(
        self,
        token: Token,
        latest_ts: Timestamp,
        on_invalidate: Callable[[Subscription], None],
    ) -> Subscription:
        """Watch the token's reads from its timestamp on; commits up to `latest_ts` are looked up.

        The callback runs at most once, never inside this call; also for one that is born invalid.
        Raises: SubscriptionsWorkerFullError, OutOfRetention.
        """
        if self._count >= self._count_max:
            raise overloaded(
                "SubscriptionsWorkerFullError", "Too many subscriptions. Try again later."
            )
        self._last_number += 1
        subscription = Subscription(token, self._last_number, on_invalidate)
        overlap = self._log.first_overlap(token.reads, after_ts=token.ts, through_ts=latest_ts)
        if overlap is not None:
            subscription._invalidate(overlap.ts)
            return subscription
        for index_id, intervals in token.reads.items():
            index_map = self._maps.setdefault(index_id, IntervalMap())
            for interval in intervals:
                index_map.add(interval, subscription)
        subscription._manager = self
        self._count += 1
        return subscription

    def advance(self, ts: Timestamp, writes: Mapping[bytes, Sequence[IndexWrite]]) -> None:
        """Invalidate every subscription that the commit at `ts` touches, in the order of their
        numbers. Called in commit order."""
        if not self._maps:
            return
        touched: set[Subscription] = set()
        for index_id, index_writes in writes.items():
            index_map = self._maps.get(index_id)
            if index_map is not None:
                for key in _keys(index_writes):
                    touched |= index_map.find(key)
        for subscription in sorted(touched, key=_number):
            self._remove(subscription)
            subscription._manager = None
            subscription._invalidate(ts)

    def check_invariants(self) -> None:
        for index_map in self._maps.values():
            assert index_map
            index_map.check_invariants()

    def _remove(self, subscription: Subscription) -> None:
        for index_id, intervals in subscription.token.reads.items():
            index_map = self._maps[index_id]
            for interval in intervals:
                index_map.remove(interval, subscription)
            if not index_map:
                del self._maps[index_id]
        self._count -= 1


def _number(subscription: Subscription) -> int:
    return subscription.number


def _keys(writes: Iterable[IndexWrite]) -> Iterable[bytes]:
    for write in writes:
        if write.old_key is not None:
            yield write.old_key
        if write.new_key is not None and write.new_key != write.old_key:
            yield write.new_key
