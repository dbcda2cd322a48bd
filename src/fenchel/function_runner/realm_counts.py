"""In which realms each function ran, and why not in warm ones: for Prometheus, and a line of the
log when a reason is new.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from fenchel.definitions import FunctionPath
from fenchel.udf import FreshCause, RealmKind, UdfOutcome, UdfRequest, UdfType, WhyFresh

_log = logging.getLogger(__name__)

# Functions times realms and reasons; further ones are counted together.
_COUNTS_MAX = 4_000
_OTHERS = FunctionPath(component="", module="(others)", function="default")
_DETAIL_CHARACTERS_MAX = 200
# These hold for every execution, and are worth a developer's look.
_LASTING = frozenset({FreshCause.APP, FreshCause.FUNCTION})

_Key = tuple[FunctionPath, UdfType, RealmKind, WhyFresh | None]


class RealmCounts(Collector):
    """Start value: nothing counted. Executions of servers without warm realms are not."""

    def __init__(self) -> None:
        self._counts: dict[_Key, int] = {}

    def record(self, request: UdfRequest, outcome: UdfOutcome) -> None:
        if outcome.realm is RealmKind.FRESH and outcome.why_fresh is None:
            return
        key = (request.path, request.udf_type, outcome.realm, outcome.why_fresh)
        count = self._counts.get(key)
        if count is None:
            self._begin(key)
        else:
            self._counts[key] = count + 1

    def _begin(self, key: _Key) -> None:
        path, udf_type, realm, why = key
        if len(self._counts) >= _COUNTS_MAX:
            key = _OTHERS, udf_type, realm, None
        elif why is not None and why.cause in _LASTING:
            _log.info("not in warm realms function=%s reason=%r", path, _reason_of(why))
        self._counts[key] = self._counts.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "fenchel_function_realm_runs",
            "Executions by the realm they ran in, and why in a fresh one",
            labels=["component", "function", "kind", "realm", "reason"],
        )
        for (path, udf_type, realm, why), count in self._counts.items():
            labels = [path.component, path.stripped, udf_type.value, realm.value, _reason_of(why)]
            family.add_metric(labels, count)
        yield family


def _reason_of(why: WhyFresh | None) -> str:
    if why is None:
        return ""
    return f"{why.cause.value}: {why.detail}"[:_DETAIL_CHARACTERS_MAX] if why.detail else why.cause
