"""The query cache as Prometheus sees it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from fenchel.application import QueryCacheStatistics
from fenchel.server.query_cache_metrics import QueryCacheCollector


def test_prometheus_reads_hits_reasons_and_size() -> None:
    statistics = QueryCacheStatistics(
        lookups={"hit": 7, "changed": 2}, entry_count=3, size_bytes=9_000
    )
    registry = CollectorRegistry()
    registry.register(QueryCacheCollector(lambda: statistics))
    page = generate_latest(registry).decode()
    assert 'fenchel_query_cache_lookups_total{outcome="hit"} 7.0' in page
    assert 'fenchel_query_cache_lookups_total{outcome="changed"} 2.0' in page
    assert "fenchel_query_cache_entries 3.0" in page
    assert "fenchel_query_cache_bytes 9000.0" in page
