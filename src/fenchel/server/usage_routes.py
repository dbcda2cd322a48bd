"""What functions and files used: for holders of the admin key, and for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from fenchel.application import UsageTracker
from fenchel.model import Usage, UsageKey
from fenchel.server.authentication import RequestAuthenticator
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageHandlers:
    usage: UsageTracker
    authenticator: RequestAuthenticator

    @property
    def routes(self) -> Routes:
        return Routes(exact={("GET", "/api/usage"): self.report})

    async def report(self, request: Request) -> Response:
        """Sums by component and function over the days `from` to `through` (both UTC and
        included); today without them."""
        await self.authenticator.require_admin(request)
        days = request.query.get("from"), request.query.get("through")
        return json_response(await self.usage.report(*days))


class UsageCollector(Collector):
    """One counter per field of `Usage`, labelled by component, function and kind. The tracker
    bounds their number."""

    def __init__(self, read: Callable[[], Mapping[UsageKey, Usage]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        totals = self._read()
        for name in Usage.__struct_fields__:
            family = CounterMetricFamily(
                f"fenchel_function_{name}",
                f"Sum of {name.replace('_', ' ')} since the server started",
                labels=["component", "function", "kind"],
            )
            for key, usage in totals.items():
                family.add_metric(key, getattr(usage, name))
            yield family
