"""Code bundles by what they were made from. A miss builds; callers who miss together share one
build.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from fenchel.function_runner.code_source import DeployedCode
from fenchel.function_runner.metrics import FunctionRunnerMetrics
from fenchel.isolate import CodeBundle

logger = logging.getLogger(__name__)

BUNDLE_BYTES_MAX = 250 << 20


class ModuleCache:
    """Least recently used bundles go first once `bytes_max` is passed; the newest always stays.

    Invariant: `size_bytes` is the sum of the cached bundles' sizes.
    """

    def __init__(
        self,
        load: Callable[[DeployedCode], Awaitable[CodeBundle]],
        metrics: FunctionRunnerMetrics,
        *,
        bytes_max: int = BUNDLE_BYTES_MAX,
    ) -> None:
        self.size_bytes = 0
        self._load = load
        self._metrics = metrics
        self._bytes_max = bytes_max
        self._bundles: OrderedDict[str, CodeBundle] = OrderedDict()
        self._loads: dict[str, asyncio.Task[CodeBundle]] = {}

    async def get(self, code: DeployedCode) -> CodeBundle:
        """The bundle for `code`. A caller that is cancelled leaves the shared build running.

        Raises: FenchelError if it cannot be built; the next call tries again.
        """
        key = code.key
        bundle = self._bundles.get(key)
        self._metrics.record_module_cache(is_hit=bundle is not None)
        if bundle is not None:
            self._bundles.move_to_end(key)
            return bundle
        task = self._loads.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(
                self._fill(key, code), name=f"module-load-{key[:12]}"
            )
            self._loads[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop running builds."""
        tasks = list(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check_invariants(self) -> None:
        assert self.size_bytes == sum(b.size_bytes for b in self._bundles.values())

    async def _fill(self, key: str, code: DeployedCode) -> CodeBundle:
        with self._metrics.module_load_seconds.time():
            bundle = await self._load(code)
        self._bundles[key] = bundle
        self.size_bytes += bundle.size_bytes
        while self.size_bytes > self._bytes_max and len(self._bundles) > 1:
            _, evicted = self._bundles.popitem(last=False)
            self.size_bytes -= evicted.size_bytes
        return bundle

    def _forget(self, key: str, task: asyncio.Task[CodeBundle]) -> None:
        del self._loads[key]
        if not task.cancelled() and task.exception() is not None:
            logger.warning("no code bundle key=%s error=%s", key[:12], task.exception())
