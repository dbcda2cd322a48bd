"""What the isolate room counts (execution 7.6, 7.7): waiting for a worker, why workers end, what
loading code takes, and how long the servers take that `fetch` asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fenchel.runtime import TIME_BOUNDS, Counter, Histogram


class WorkerEnd(Enum):
    """Why a worker process ended, in the words of execution 7.6 where they fit.

    USER_TIMEOUT, OUT_OF_MEMORY: a function used up its time or its memory, in the process or in an
    isolate of it. MAX_LIFETIME, MAX_EXECUTIONS, MEMORY_CARRY_OVER: it served for long enough, or
    keeps more memory than service takes. IDLE_TIMEOUT: nothing to do for so many workers.
    ABANDONED: it computed on for a caller who was gone. SYSTEM_ERROR: it broke the protocol or left
    by itself; CRASHED: V8 or the process gave up; KILLED: a signal from someone else. EVALUATED,
    CLOSING: it had served its purpose.
    """

    USER_TIMEOUT = "user_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    MAX_LIFETIME = "max_lifetime"
    MAX_EXECUTIONS = "max_executions"
    MEMORY_CARRY_OVER = "memory_carry_over"
    IDLE_TIMEOUT = "idle_timeout"
    ABANDONED = "abandoned"
    SYSTEM_ERROR = "system_error"
    CRASHED = "crashed"
    KILLED = "killed"
    EVALUATED = "evaluated"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """`running_*`: executions that hold a worker, `*_max` how many can; `waiting`: requests in the
    queues; `workers`: processes, with the spare, and `resident_bytes` their memory.
    """

    running_transactions: int
    running_actions: int
    transactions_max: int
    actions_max: int
    waiting: int
    workers: int
    resident_bytes: int


class Outstanding(Collector):
    """Executions that hold a worker, and those that wait for one, by type. Start value: none."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.running: dict[str, int] = {}
        self.queued: dict[str, int] = {}
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "fenchel_outstanding_functions",
            "Executions that hold a worker, and those that wait for one",
            labels=["state", "udf_type"],
        )
        for state, counts in (("running", self.running), ("queued", self.queued)):
            for udf_type, count in counts.items():
                family.add_metric((state, udf_type), count)
        yield family


class IsolateMetrics:
    """One instance for each pool. Times are in seconds, sizes in bytes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outstanding = Outstanding(registry)
        self._queue_seconds = Histogram(
            "fenchel_udf_queue_seconds",
            "Time between asking for a worker and getting it; what is refused is not in it",
            ("udf_type",),
            TIME_BOUNDS,
            registry,
        )
        self._lost = Counter(
            "fenchel_udf_attempts_lost",
            "Attempts that ended without an outcome, of which most are repeated",
            ("cause",),
            registry,
        )
        self._ends = Counter(
            "fenchel_recreate_isolate", "Worker processes that ended", ("reason",), registry
        )
        self._start_seconds = Histogram(
            "fenchel_create_isolate_seconds", "Time to start a worker", (), TIME_BOUNDS, registry
        )
        self._load_seconds = Histogram(
            "fenchel_bundle_load_seconds",
            "Time in which a worker loads the code of an app",
            ("status",),
            TIME_BOUNDS,
            registry,
        )
        self._fetch_seconds = Histogram(
            "fenchel_fetch_seconds",
            "Time from a request of an action to the head of its response",
            ("status",),
            TIME_BOUNDS,
            registry,
        )

    # Places on workers

    def record_begin(self, udf_type: str, queue_seconds: float) -> None:
        """An execution got its worker."""
        self._queue_seconds.observe((udf_type,), queue_seconds)

    def record_lost(self, cause: str) -> None:
        self._lost.count((cause,))

    # Workers

    def record_start(self, seconds: float) -> None:
        self._start_seconds.observe((), seconds)

    def record_end(self, reason: WorkerEnd) -> None:
        self._ends.count((reason.value,))

    def record_load(self, seconds: float, *, is_success: bool) -> None:
        self._load_seconds.observe(("success" if is_success else "error",), seconds)

    # The way out

    def record_fetch(self, status: int | None, seconds: float) -> None:
        """`status` is None for a request without a response."""
        group = "failed" if status is None else f"{status // 100}xx"
        self._fetch_seconds.observe((group,), seconds)
