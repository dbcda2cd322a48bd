"""Counters of the HTTP edge."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge

from fenchel.runtime import Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUEST_SECONDS = Histogram(
    "fenchel_http_request_seconds",
    "Time from the head of a request to its complete response.",
    ("method", "status"),
    _SECONDS,
    REGISTRY,
)
REQUESTS_RUNNING = Gauge("fenchel_http_requests_running", "Requests that are being answered.")
REQUESTS_REFUSED = Counter(
    "fenchel_http_requests_refused", "Requests refused because too many were running."
)
SYNC_CONNECTIONS = Gauge("fenchel_sync_connections", "Open sync sockets.")
