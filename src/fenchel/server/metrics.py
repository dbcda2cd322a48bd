"""Counters of the HTTP edge, and the page that Prometheus reads."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from fenchel.server.request import Request
from fenchel.server.response import Response
from fenchel.server.routing import Routes

REQUEST_SECONDS = Histogram(
    "fenchel_http_request_seconds",
    "Time from the head of a request to its complete response.",
    ["method", "status"],
)
REQUESTS_RUNNING = Gauge("fenchel_http_requests_running", "Requests that are being answered.")
REQUESTS_REFUSED = Counter(
    "fenchel_http_requests_refused", "Requests refused because too many were running."
)
SYNC_CONNECTIONS = Gauge("fenchel_sync_connections", "Open sync sockets.")


class MetricsHandlers:
    """The counters of the edge and those of the function runner, which has its own registry."""

    def __init__(self, runner_registry: CollectorRegistry) -> None:
        self._runner_registry = runner_registry

    @property
    def routes(self) -> Routes:
        return Routes(exact={("GET", "/metrics"): self.show_metrics})

    async def show_metrics(self, _request: Request) -> Response:
        body = generate_latest(REGISTRY) + generate_latest(self._runner_registry)
        return Response(body=body, content_type=CONTENT_TYPE_LATEST)
