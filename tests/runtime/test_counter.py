"""A counter as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from fenchel.runtime import Counter


def samples_of(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]


def test_counts_add_up_by_label() -> None:
    registry = CollectorRegistry()
    ends = Counter("ends", "What ended.", ("type", "reason"), registry)
    ends.count(("Query", "timeout"))
    ends.count(("Query", "timeout"), 2)
    ends.count(("Mutation", "timeout"))
    assert samples_of(registry) == [
        'ends_total{reason="timeout",type="Query"} 3.0',
        'ends_total{reason="timeout",type="Mutation"} 1.0',
    ]


def test_series_that_come_too_late_are_counted_together() -> None:
    registry = CollectorRegistry()
    calls = Counter("calls", "By name.", ("name",), registry, series_max=2)
    for name in ("a", "b", "c", "d", "a"):
        calls.count((name,))
    assert samples_of(registry) == [
        'calls_total{name="a"} 2.0',
        'calls_total{name="b"} 1.0',
        'calls_total{name="(others)"} 2.0',
    ]
