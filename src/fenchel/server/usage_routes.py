"""What functions, tables and files used: for holders of the admin key, and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fenchel.application import TABLE_KIND, UsageTracker
from fenchel.model import Usage
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
        """Sums by component and function, and by table, over the days `from` to `through` (both UTC
        and included), today without them; what tables and files hold now."""
        await self.authenticator.require_admin(request)
        days = request.query.get("from"), request.query.get("through")
        return json_response(await self.usage.report(*days))


# Fields of `FileTotal`, the names of their gauges, and what they say.
_FILE_GAUGES = (
    ("files", "fenchel_stored_files", "Files that are stored"),
    ("bytes", "fenchel_stored_file_bytes", "Bytes of all stored files"),
)
# Fields of `Usage` that tables have.
_TABLE_FIELDS = ("read_documents", "read_bytes", "written_documents", "written_bytes")


class UsageCollector(Collector):
    """Counters per field of `Usage`, labelled by component, function and kind, or by component and
    table; how many files each component has. The tracker bounds their number.
    """

    def __init__(self, usage: UsageTracker) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        totals = self._usage.totals
        functions = {key: usage for key, usage in totals.items() if key[2] != TABLE_KIND}
        tables = {key[:2]: usage for key, usage in totals.items() if key[2] == TABLE_KIND}
        for name in Usage.__struct_fields__:
            labels = ["component", "function", "kind"]
            yield _counters("function", name, labels, functions.items())
        for name in _TABLE_FIELDS:
            yield _counters("table", name, ["component", "table"], tables.items())
        files = self._usage.file_totals.latest
        for field, name, text in _FILE_GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=["component"])
            for total in files:
                gauge.add_metric([total.component], getattr(total, field))
            yield gauge


def _counters(
    prefix: str, name: str, labels: list[str], totals: Iterable[tuple[Sequence[str], Usage]]
) -> Metric:
    family = CounterMetricFamily(
        f"fenchel_{prefix}_{name}",
        f"Sum of {name.replace('_', ' ')} since the server started",
        labels=labels,
    )
    for key, usage in totals:
        family.add_metric(key, getattr(usage, name))
    return family
