"""What the application counts (execution 7.7): mutations and their conflicts, scheduled functions
and crons.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fenchel.definitions import FunctionPath
from fenchel.errors import ConflictError
from fenchel.runtime import TIME_BOUNDS, Counter, Histogram

_LAG_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3_600.0)
# From so many attempts on they share a label, for which jobs are tried for ever.
_ATTEMPTS_MAX = 10


class DueRows(Protocol):
    """What a loop that starts what is due knows at this moment."""

    @property
    def running_count(self) -> int: ...

    @property
    def due_count(self) -> int: ...

    @property
    def lag_seconds(self) -> float: ...


class DueMetrics(Collector):
    """Of one kind of function that runs at its time; `name` begins the names of its measures.

    Start value: no loop is watched, which gives no gauges.
    """

    def __init__(self, name: str, noun: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._noun = noun
        self._rows: DueRows | None = None
        self._lag_seconds = Histogram(
            f"{name}_lag_seconds",
            f"Time from when {noun} was due to its begin",
            (),
            _LAG_SECONDS,
            registry,
        )
        self._results = Counter(
            f"{name}_results",
            f"How runs of {noun} ended, after how many lost attempts",
            ("status", "attempts"),
            registry,
        )
        registry.register(self)

    def watch(self, rows: DueRows) -> None:
        """Read these whenever the metrics are collected."""
        self._rows = rows

    def record_begin(self, lag_seconds: float) -> None:
        self._lag_seconds.observe((), lag_seconds)

    def record_result(self, status: str, lost_attempts: int) -> None:
        """`status`: `success`, `failed`, or `system_error`; an action does not come again."""
        attempts = str(lost_attempts) if lost_attempts < _ATTEMPTS_MAX else f"{_ATTEMPTS_MAX}+"
        self._results.count((status, attempts))

    def collect(self) -> Iterator[Metric]:
        rows = self._rows
        if rows is None:
            return
        name, noun = self._name, self._noun
        yield GaugeMetricFamily(f"{name}_running", f"Runs of {noun} now", rows.running_count)
        yield GaugeMetricFamily(
            f"{name}_backlog", "Those that are due, are known, and wait for a slot", rows.due_count
        )
        yield GaugeMetricFamily(
            f"{name}_backlog_seconds", "For how long the first of them is due", rows.lag_seconds
        )


class ApplicationMetrics:
    """One instance for each application, on its own registry; names begin with `fenchel_`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._mutation_seconds = Histogram(
            "fenchel_mutation_seconds",
            "One mutation with all attempts, waits and its commit",
            ("status",),
            TIME_BOUNDS,
            registry,
        )
        self._conflicts = Counter(
            "fenchel_mutation_occ_conflicts",
            "Attempts of mutations that lost against another commit",
            ("component", "function", "table", "will_retry"),
            registry,
        )
        self.jobs = DueMetrics("fenchel_scheduled_job", "a scheduled function", registry)
        self.crons = DueMetrics("fenchel_cron_job", "a cron", registry)
        self._crons_skipped = Counter(
            "fenchel_cron_job_skipped", "Runs of crons that were left out as too late", (), registry
        )

    def record_mutation(self, status: str, seconds: float) -> None:
        """`status`: `success`, `error`, `conflict` if its retries are used up, `system_error`, or
        `cancelled` by its caller.
        """
        self._mutation_seconds.observe((status,), seconds)

    def record_conflict(
        self, path: FunctionPath, conflict: ConflictError, *, will_retry: bool
    ) -> None:
        table = conflict.source.table_name
        self._conflicts.count((path.component, path.stripped, table, str(will_retry).lower()))

    def record_skipped_crons(self, count: int) -> None:
        if count:
            self._crons_skipped.count((), count)
