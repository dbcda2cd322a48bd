"""Measures of the edge: HTTP requests and sync sockets."""

from __future__ import annotations

from collections.abc import Iterator

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from fenchel.runtime import Counter, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUEST_SECONDS = Histogram(
    "fenchel_http_request_seconds",
    "Time from the head of a request to its complete response.",
    ("method", "status"),
    _SECONDS,
    REGISTRY,
)
REQUESTS_RUNNING = Gauge("fenchel_http_requests_running", "Requests that are being answered.")
REQUESTS_REFUSED = prometheus_client.Counter(
    "fenchel_http_requests_refused", "Requests refused because too many were running."
)
SYNC_CONNECTIONS = Gauge("fenchel_sync_connections", "Open sync sockets.")
SYNC_QUERIES = Gauge("fenchel_sync_queries", "Different live queries that sockets watch.")
# The version is the client's word, so few of them have a count of their own.
SYNC_CONNECTS = Counter(
    "fenchel_sync_connects",
    "Sync sockets that were accepted, by the version that the client says it has.",
    ("npm_version",),
    REGISTRY,
    series_max=100,
)


class SyncTraffic(Collector):
    """Messages of all sync sockets and their bytes, without frame heads. Plain sums, because
    thousands of sockets are written to for one commit.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent_messages = self.sent_bytes = 0
        self.received_messages = self.received_bytes = 0
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        families = (
            ("messages", self.sent_messages, self.received_messages),
            ("bytes", self.sent_bytes, self.received_bytes),
        )
        for name, sent, received in families:
            family = CounterMetricFamily(
                f"fenchel_sync_{name}",
                f"{name.capitalize()} over sync sockets.",
                labels=["direction"],
            )
            family.add_metric(("sent",), sent)
            family.add_metric(("received",), received)
            yield family


SYNC_TRAFFIC = SyncTraffic(REGISTRY)
