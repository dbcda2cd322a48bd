"""Which bundles are in so much use that warm realms are worth their price, and the scripts for
those (decision 0027). Bundles that are called now and then cost nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fenchel.isolate.code_bundle import CodeBundle
from fenchel.runtime import Clock
from fenchel.runtime.settings import IsolateSettings

# The time over which executions are counted.
_COUNT_SECONDS = 60.0
# Bundles that are counted, and whose scripts are kept, at most.
_BUNDLES_MAX = 32


@dataclass(slots=True)
class _Use:
    """`script` is None until it was built, once; `is_building` from then on."""

    counted_from: float
    count: int = 0
    script: bytes | None = None
    is_building: bool = False


class WarmScripts:
    """Start value: no bundle was used. Those used last are kept."""

    def __init__(
        self,
        settings: IsolateSettings,
        clock: Clock,
        build: Callable[[CodeBundle], Awaitable[bytes]],
    ) -> None:
        # With 0 executions the script comes inside the bundle's snapshot.
        self._is_on = settings.warm_realms_max > 0 and settings.warm_after_executions > 0
        self._executions_min = settings.warm_after_executions
        self._clock = clock
        self._build = build
        self._uses: OrderedDict[str, _Use] = OrderedDict()
        self._builds: set[asyncio.Task[None]] = set()

    def find(self, bundle: CodeBundle) -> bytes | None:
        """The script for workers, if it is there. Counts an execution of the bundle; the one that
        makes it hot has the script built.
        """
        if not self._is_on or not bundle.is_app or bundle.snapshot is None:
            return None
        use = self._uses.get(bundle.key) or self._begin(bundle.key)
        if not use.is_building:
            self._count(use, bundle)
        return use.script

    def _begin(self, key: str) -> _Use:
        if len(self._uses) >= _BUNDLES_MAX:
            self._uses.popitem(last=False)
        return self._uses.setdefault(key, _Use(self._clock.monotonic()))

    def _count(self, use: _Use, bundle: CodeBundle) -> None:
        now = self._clock.monotonic()
        if now - use.counted_from > _COUNT_SECONDS:
            use.counted_from, use.count = now, 0
        use.count += 1
        self._uses.move_to_end(bundle.key)
        if use.count >= self._executions_min:
            use.is_building = True
            task = asyncio.get_running_loop().create_task(
                self._fill(use, bundle), name="isolate-warm-script"
            )
            self._builds.add(task)
            task.add_done_callback(self._builds.discard)

    async def _fill(self, use: _Use, bundle: CodeBundle) -> None:
        use.script = await self._build(bundle)

    async def close(self) -> None:
        """Stop running builds."""
        for task in self._builds:
            task.cancel()
        await asyncio.gather(*self._builds, return_exceptions=True)
