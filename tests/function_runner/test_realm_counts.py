"""What operators and developers see of where functions ran."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from fenchel.definitions import FunctionPath
from fenchel.function_runner import realm_counts
from fenchel.function_runner.realm_counts import RealmCounts
from fenchel.udf import (
    FreshCause,
    FunctionResult,
    RealmKind,
    UdfOutcome,
    UdfRequest,
    WhyFresh,
)
from tests.isolate.requests import make_request

FAULT = WhyFresh(cause=FreshCause.FUNCTION, detail="use of eval")


def request(function: str = "list", component: str = "") -> UdfRequest:
    path = FunctionPath(component, "messages.js", function)
    return replace(make_request(), path=path)


def outcome(realm: RealmKind, why: WhyFresh | None = None) -> UdfOutcome:
    return UdfOutcome(result=FunctionResult("null"), realm=realm, why_fresh=why)


class Counted:
    def __init__(self) -> None:
        self.counts = RealmCounts()
        self._registry = CollectorRegistry()
        self._registry.register(self.counts)

    def read(self, function: str, realm: str, reason: str = "", component: str = "") -> float:
        labels = {
            "component": component,
            "function": function,
            "kind": "Query",
            "realm": realm,
            "reason": reason,
        }
        return self._registry.get_sample_value("fenchel_function_realm_runs_total", labels) or 0


def test_executions_are_counted_by_realm_and_reason() -> None:
    counted = Counted()
    for _ in range(2):
        counted.counts.record(request(), outcome(RealmKind.WARM))
    counted.counts.record(request(component="c"), outcome(RealmKind.FRESH, FAULT))
    assert counted.read("messages:list", "warm") == 2
    assert counted.read("messages:list", "fresh", "function: use of eval", "c") == 1


def test_servers_without_warm_realms_count_nothing() -> None:
    counted = Counted()
    counted.counts.record(request(), outcome(RealmKind.FRESH))
    assert counted.read("messages:list", "fresh") == 0


def test_a_reason_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    counted = Counted()
    unready = WhyFresh(cause=FreshCause.UNREADY)
    for why in (unready, FAULT, FAULT):
        counted.counts.record(request(), outcome(RealmKind.FRESH, why))
    [line] = caplog.messages
    assert line == "not in warm realms function=messages.js:list reason='function: use of eval'"


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realm_counts, "_COUNTS_MAX", 2)
    counted = Counted()
    for number in range(5):
        counted.counts.record(request(f"f{number}"), outcome(RealmKind.WARM))
    assert counted.read("(others)", "warm") == 3
