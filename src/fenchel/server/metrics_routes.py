"""The page that Prometheus reads."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from fenchel.server.request import Request
from fenchel.server.response import Response
from fenchel.server.routing import Routes


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
