"""The page that Prometheus reads."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from fenchel.server.request import Request
from fenchel.server.response import Response
from fenchel.server.routing import Routes


class MetricsHandlers:
    """The measures of the edge and those of `registries`: each room below has its own."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        self._registries = (REGISTRY, *registries)

    @property
    def routes(self) -> Routes:
        return Routes(exact={("GET", "/metrics"): self.show_metrics})

    async def show_metrics(self, _request: Request) -> Response:
        body = b"".join(map(generate_latest, self._registries))
        return Response(body=body, content_type=CONTENT_TYPE_LATEST)
