"""Values that are costly to load, by key. A miss loads; who misses together shares one load."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def size_bytes(self) -> int: ...


Key = TypeVar("Key")
Cached = TypeVar("Cached", bound=Sized)


class LoadingCache(Generic[Key, Cached]):
    """Least recently used values go first once `bytes_max` is passed; the newest always stays.

    Invariant: `size_bytes` is the sum of the cached values' sizes.
    """

    def __init__(self, *, name: str, bytes_max: int) -> None:
        self.size_bytes = 0
        self._name = name
        self._bytes_max = bytes_max
        self._values: OrderedDict[Key, Cached] = OrderedDict()
        self._loads: dict[Key, asyncio.Task[Cached]] = {}

    @property
    def load_count(self) -> int:
        """Loads that run or wait."""
        return len(self._loads)

    def find(self, key: Key) -> Cached | None:
        """The value if it is here."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    async def load(self, key: Key, load: Callable[[], Awaitable[Cached]]) -> Cached:
        """The value that `load`, or the load of the key that runs already, gives. A caller that is
        cancelled leaves the shared load running.

        Raises: what the load raises; the next call tries again.
        """
        task = self._loads.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fill(key, load), name=self._name)
            self._loads[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def is_loading(self, key: Key) -> bool:
        return key in self._loads

    async def close(self) -> None:
        """Stop running loads."""
        tasks = list(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check_invariants(self) -> None:
        assert self.size_bytes == sum(value.size_bytes for value in self._values.values())

    async def _fill(self, key: Key, load: Callable[[], Awaitable[Cached]]) -> Cached:
        value = await load()
        self._values[key] = value
        self.size_bytes += value.size_bytes
        while self.size_bytes > self._bytes_max and len(self._values) > 1:
            _, evicted = self._values.popitem(last=False)
            self.size_bytes -= evicted.size_bytes
        return value

    def _forget(self, key: Key, task: asyncio.Task[Cached]) -> None:
        del self._loads[key]
        if not task.cancelled():
            # Whoever waits learns it; a failure that nobody waits for any more is not a surprise.
            task.exception()
