"""What the function runner counts (execution 7.7). One instance per process, on its own
registry.
"""

from __future__ import annotations

from collections.abc import Callable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge

from fenchel.errors import ErrorKind, FenchelError
from fenchel.function_runner.realm_counts import RealmCounts
from fenchel.isolate import PoolStatistics
from fenchel.runtime import Histogram
from fenchel.udf import JsError, UdfOutcome, UdfType

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class FunctionRunnerMetrics:
    """Names begin with `fenchel_`; times are in seconds."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.registry = registry
        self._execute_seconds = Histogram(
            "fenchel_udf_execute_seconds",
            "Whole time of one function execution, with queueing and system calls",
            ("udf_type", "status"),
            _SECONDS,
            registry,
        )
        self._user_seconds = Histogram(
            "fenchel_udf_user_seconds",
            "Time in JavaScript of one function execution",
            ("udf_type",),
            _SECONDS,
            registry,
        )
        self.realms = RealmCounts()
        registry.register(self.realms)
        self._rejected = Counter(
            "fenchel_udf_rejected_before_execution_total",
            "Executions refused by validation or overload",
            ["reason"],
            registry=registry,
        )
        module_cache = Counter(
            "fenchel_module_cache_get_total", "Look-ups of code bundles", ["hit"], registry=registry
        )
        # Finding a labelled child costs more than counting with it.
        self._module_cache_hits = module_cache.labels("true")
        self._module_cache_misses = module_cache.labels("false")
        self.module_load_seconds = prometheus_client.Histogram(
            "fenchel_module_load_seconds",
            "Time to fetch, bundle and snapshot one package",
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_memory_indexes = Counter(
            "fenchel_memory_index_cache_get_total",
            "Look-ups of system indexes at old snapshots",
            ["hit"],
            registry=registry,
        )
        self.in_memory_index_load_seconds = prometheus_client.Histogram(
            "fenchel_memory_index_cache_load_seconds",
            "Time to load one system index at an old snapshot",
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_memory_index_bytes = Gauge(
            "fenchel_memory_index_cache_bytes",
            "Size of the system indexes kept for old snapshots",
            registry=registry,
        )
        self._running = Gauge(
            "fenchel_isolate_pool_running",
            "Executions that hold a worker",
            ["pool"],
            registry=registry,
        )
        self._waiting = Gauge(
            "fenchel_isolate_pool_waiting", "Executions that wait for a worker", registry=registry
        )
        self._workers = Gauge(
            "fenchel_isolate_pool_allocated", "Living worker processes", registry=registry
        )

    def record_outcome(self, udf_type: UdfType, outcome: UdfOutcome, seconds: float) -> None:
        status = "error" if isinstance(outcome.result, JsError) else "success"
        self._execute_seconds.observe((udf_type.value, status), seconds)
        self._user_seconds.observe((udf_type.value,), outcome.user_seconds)

    def record_rejection(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def record_failure(self, error: FenchelError) -> None:
        """Count it if it is a refusal: an error that says that the function never started."""
        if error.kind in (ErrorKind.OVERLOADED, ErrorKind.REJECTED_BEFORE_EXECUTION):
            self.record_rejection(error.code)

    def record_module_cache(self, *, is_hit: bool) -> None:
        (self._module_cache_hits if is_hit else self._module_cache_misses).inc()

    def record_in_memory_index(self, *, is_hit: bool) -> None:
        self._in_memory_indexes.labels(str(is_hit).lower()).inc()

    def watch_in_memory_indexes(self, read_bytes: Callable[[], int]) -> None:
        """Read the cache's size whenever the metrics are collected."""
        self._in_memory_index_bytes.set_function(read_bytes)

    def watch_pool(self, read_statistics: Callable[[], PoolStatistics]) -> None:
        """Read the pool whenever the metrics are collected."""
        self._running.labels("transactions").set_function(
            lambda: read_statistics().running_transactions
        )
        self._running.labels("actions").set_function(lambda: read_statistics().running_actions)
        self._waiting.set_function(lambda: read_statistics().waiting)
        self._workers.set_function(lambda: read_statistics().workers)
