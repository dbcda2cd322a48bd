"""What commits cost: how many share a durable write, how long it takes, and who waits for one."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge

from fenchel.runtime import Histogram

_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_COMMITS = (1, 2, 4, 8, 16, 32, 64, 128)


class CommitMetrics:
    """One instance for each committer, on its own registry. Times are in seconds."""

    def __init__(self, read_waiting: Callable[[], int]) -> None:
        """`read_waiting` gives the number of commits in the queue."""
        self.registry = registry = CollectorRegistry()
        self._write_seconds = Histogram(
            "fenchel_commit_write_seconds",
            "One durable write of a group of commits",
            ("status",),
            _SECONDS,
            registry,
        )
        self._group_commits = Histogram(
            "fenchel_commit_group_commits", "Commits that share a write", (), _COMMITS, registry
        )
        waiting = Gauge(
            "fenchel_commit_waiting", "Commits that wait for a write or a turn", registry=registry
        )
        waiting.set_function(read_waiting)

    def record_write(self, seconds: float, commit_count: int, *, is_success: bool) -> None:
        self._write_seconds.observe(("success" if is_success else "error",), seconds)
        self._group_commits.observe((), commit_count)
