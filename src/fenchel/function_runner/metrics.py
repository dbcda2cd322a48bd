"""What the function runner counts (execution 7.7). One instance per process, on its own
registry.
"""

from __future__ import annotations

from collections.abc import Callable

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge

from fenchel.errors import ErrorKind, FenchelError
from fenchel.function_runner.realm_counts import RealmCounts
from fenchel.isolate import PoolStatistics
from fenchel.runtime import TIME_BOUNDS, Counter, Histogram
from fenchel.udf import FunctionResult, UdfOutcome, UdfRequest

_BYTES = tuple(float(4**power << 8) for power in range(9))
_HEAP_BYTES = tuple(float(mebibytes << 20) for mebibytes in (2, 4, 8, 16, 32, 64, 96))


class FunctionRunnerMetrics:
    """Names begin with `fenchel_`; times are in seconds."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.registry = registry
        self._add_executions(registry)
        self._add_caches(registry)
        self._add_pool(registry)

    def _add_executions(self, registry: CollectorRegistry) -> None:
        self._execute_seconds = Histogram(
            "fenchel_udf_execute_seconds",
            "Whole time of one function execution, with queueing and system calls",
            ("udf_type", "status"),
            TIME_BOUNDS,
            registry,
        )
        self._user_seconds = Histogram(
            "fenchel_udf_user_seconds",
            "Time in JavaScript of one function execution",
            ("udf_type",),
            TIME_BOUNDS,
            registry,
        )
        self._argument_bytes = Histogram(
            "fenchel_udf_argument_bytes",
            "Size of the arguments of one execution, as JSON text",
            ("udf_type",),
            _BYTES,
            registry,
        )
        self._result_bytes = Histogram(
            "fenchel_udf_result_bytes",
            "Size of the result of one execution that succeeded, as JSON text",
            ("udf_type",),
            _BYTES,
            registry,
        )
        self._heap_bytes = Histogram(
            "fenchel_udf_heap_bytes",
            "Memory of the isolate at the end of one execution",
            ("udf_type",),
            _HEAP_BYTES,
            registry,
        )
        self._stops = Counter(
            "fenchel_udf_stopped",
            "Executions that were ended for their time, their memory or a promise that cannot "
            "resolve",
            ("udf_type", "reason"),
            registry,
        )
        self.realms = RealmCounts()
        registry.register(self.realms)
        self._rejected = Counter(
            "fenchel_udf_rejected_before_execution",
            "Executions refused by validation or overload",
            ("reason",),
            registry,
        )

    def _add_caches(self, registry: CollectorRegistry) -> None:
        self._module_cache = Counter(
            "fenchel_module_cache_get", "Look-ups of code bundles", ("hit",), registry
        )
        self._module_cache_bytes = Gauge(
            "fenchel_module_cache_bytes",
            "Size of the code bundles in the cache, with their snapshots",
            registry=registry,
        )
        self.module_load_seconds = prometheus_client.Histogram(
            "fenchel_module_load_seconds",
            "Time to fetch, bundle and snapshot one package",
            buckets=TIME_BOUNDS,
            registry=registry,
        )
        self.snapshot_build_seconds = prometheus_client.Histogram(
            "fenchel_snapshot_build_seconds",
            "Time to make or find the snapshot of one package, a part of module_load",
            buckets=TIME_BOUNDS,
            registry=registry,
        )
        self._in_memory_indexes = Counter(
            "fenchel_memory_index_cache_get",
            "Look-ups of system indexes at old snapshots",
            ("hit",),
            registry,
        )
        self.in_memory_index_load_seconds = prometheus_client.Histogram(
            "fenchel_memory_index_cache_load_seconds",
            "Time to load one system index at an old snapshot",
            buckets=TIME_BOUNDS,
            registry=registry,
        )
        self._in_memory_index_bytes = Gauge(
            "fenchel_memory_index_cache_bytes",
            "Size of the system indexes kept for old snapshots",
            registry=registry,
        )

    def _add_pool(self, registry: CollectorRegistry) -> None:
        self._running = Gauge(
            "fenchel_isolate_pool_running",
            "Executions that hold a worker",
            ["pool"],
            registry=registry,
        )
        self._running_max = Gauge(
            "fenchel_isolate_pool_max",
            "Executions that can hold a worker at once",
            ["pool"],
            registry=registry,
        )
        self._waiting = Gauge(
            "fenchel_isolate_pool_waiting", "Executions that wait for a worker", registry=registry
        )
        self._workers = Gauge(
            "fenchel_isolate_pool_allocated", "Living worker processes", registry=registry
        )
        self._worker_bytes = Gauge(
            "fenchel_isolate_pool_resident_bytes", "Memory of all workers", registry=registry
        )

    def record_outcome(self, request: UdfRequest, outcome: UdfOutcome, seconds: float) -> None:
        udf_type = request.udf_type.value
        of_type = (udf_type,)
        result = outcome.result
        if isinstance(result, FunctionResult):
            self._execute_seconds.observe((udf_type, "success"), seconds)
            self._result_bytes.observe(of_type, len(result.value_json))
        else:
            self._execute_seconds.observe((udf_type, "error"), seconds)
            if result.stop is not None:
                self._stops.count((udf_type, result.stop.value))
        self._user_seconds.observe(of_type, outcome.user_seconds)
        self._argument_bytes.observe(of_type, len(request.args_json))
        self._heap_bytes.observe(of_type, outcome.memory_bytes)

    def record_rejection(self, reason: str) -> None:
        self._rejected.count((reason,))

    def record_failure(self, error: FenchelError) -> None:
        """Count it if it is a refusal: an error that says that the function never started."""
        if error.kind in (ErrorKind.OVERLOADED, ErrorKind.REJECTED_BEFORE_EXECUTION):
            self.record_rejection(error.code)

    def record_module_cache(self, *, is_hit: bool) -> None:
        self._module_cache.count(("true" if is_hit else "false",))

    def record_in_memory_index(self, *, is_hit: bool) -> None:
        self._in_memory_indexes.count(("true" if is_hit else "false",))

    def watch_module_cache(self, read_bytes: Callable[[], int]) -> None:
        """Read the cache's size whenever the metrics are collected."""
        self._module_cache_bytes.set_function(read_bytes)

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
        self._running_max.labels("transactions").set_function(
            lambda: read_statistics().transactions_max
        )
        self._running_max.labels("actions").set_function(lambda: read_statistics().actions_max)
        self._workers.set_function(lambda: read_statistics().workers)
        self._worker_bytes.set_function(lambda: read_statistics().resident_bytes)
