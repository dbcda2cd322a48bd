"""How often queries are answered without a run, and why the others run, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fenchel.application import QueryCacheStatistics


class QueryCacheCollector(Collector):
    """`outcome` is `hit`, `shared` or the reason of a run."""

    def __init__(self, read: Callable[[], QueryCacheStatistics]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        statistics = self._read()
        lookups = CounterMetricFamily(
            "fenchel_query_cache_lookups",
            "Queries by how they were answered: from the cache, by a shared run, or why they ran",
            labels=["outcome"],
        )
        for outcome, count in statistics.lookups.items():
            lookups.add_metric((outcome,), count)
        yield lookups
        yield GaugeMetricFamily(
            "fenchel_query_cache_entries", "Stored results", statistics.entry_count
        )
        yield GaugeMetricFamily(
            "fenchel_query_cache_bytes", "Size of the stored results", statistics.size_bytes
        )
