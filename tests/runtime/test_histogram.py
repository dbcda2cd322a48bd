"""A histogram as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from fenchel.runtime import Histogram


def test_counts_add_up_by_label_and_bound() -> None:
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "How long.", ("method", "status"), (0.1, 1.0), registry)
    for amount in (0.05, 0.1, 0.5, 7.0):
        seconds.observe(("GET", 200), amount)
    seconds.observe(("GET", 404), 0.25)
    samples = [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    assert samples == [
        'seconds_bucket{le="0.1",method="GET",status="200"} 2.0',
        'seconds_bucket{le="1.0",method="GET",status="200"} 3.0',
        'seconds_bucket{le="+Inf",method="GET",status="200"} 4.0',
        'seconds_count{method="GET",status="200"} 4.0',
        'seconds_sum{method="GET",status="200"} 7.65',
        'seconds_bucket{le="0.1",method="GET",status="404"} 0.0',
        'seconds_bucket{le="1.0",method="GET",status="404"} 1.0',
        'seconds_bucket{le="+Inf",method="GET",status="404"} 1.0',
        'seconds_count{method="GET",status="404"} 1.0',
        'seconds_sum{method="GET",status="404"} 0.25',
    ]
