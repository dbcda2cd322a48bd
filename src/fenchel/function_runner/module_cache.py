"""Code bundles by what they were made from. A miss builds; callers who miss together share one
build.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from fenchel.errors import FenchelError
from fenchel.function_runner.code_source import DeployedCode
from fenchel.function_runner.loading_cache import LoadingCache
from fenchel.function_runner.metrics import FunctionRunnerMetrics
from fenchel.isolate import CodeBundle

logger = logging.getLogger(__name__)

BUNDLE_BYTES_MAX = 250 << 20


class ModuleCache:
    """Least recently used bundles go first once `bytes_max` is passed; the newest always stays."""

    def __init__(
        self,
        load: Callable[[DeployedCode], Awaitable[CodeBundle]],
        metrics: FunctionRunnerMetrics,
        *,
        bytes_max: int = BUNDLE_BYTES_MAX,
    ) -> None:
        self._load = load
        self._metrics = metrics
        self._cache: LoadingCache[str, CodeBundle] = LoadingCache(
            name="module-load", bytes_max=bytes_max
        )
        metrics.watch_module_cache(lambda: self.size_bytes)

    @property
    def size_bytes(self) -> int:
        return self._cache.size_bytes

    async def get(self, code: DeployedCode) -> CodeBundle:
        """The bundle for `code`. A caller that is cancelled leaves the shared build running.

        Raises: FenchelError if it cannot be built; the next call tries again.
        """
        bundle = self._cache.find(code.key)
        self._metrics.record_module_cache(is_hit=bundle is not None)
        if bundle is not None:
            return bundle
        return await self._cache.load(code.key, lambda: self._build(code))

    async def close(self) -> None:
        """Stop running builds."""
        await self._cache.close()

    def check_invariants(self) -> None:
        self._cache.check_invariants()

    async def _build(self, code: DeployedCode) -> CodeBundle:
        try:
            with self._metrics.module_load_seconds.time():
                return await self._load(code)
        except FenchelError as error:
            logger.warning("no code bundle key=%s error=%s", code.key[:12], error)
            raise
