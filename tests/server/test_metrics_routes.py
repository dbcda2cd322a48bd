"""What Prometheus reads, and that every measure is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from fenchel.application import ApplicationMetrics, QueryCacheStatistics
from fenchel.database import CommitMetrics
from fenchel.function_runner import FunctionRunnerMetrics
from fenchel.isolate import IsolateMetrics
from fenchel.model import Usage
from fenchel.server.query_cache_metrics import QueryCacheCollector
from tests.server.fakes import Edge, open_edge
from tests.sync.fakes import FakeBackend

DOCS = Path(__file__).resolve().parents[2] / "docs/metrics.md"
SUBSCRIBE = {
    "type": "ModifyQuerySet",
    "baseVersion": 0,
    "newVersion": 1,
    "modifications": [{"type": "Add", "queryId": 0, "udfPath": "a:b", "args": [{"name": "ö"}]}],
}


async def read(edge: Edge) -> dict[tuple[str, ...], float]:
    """By name and values of the labels."""
    _, page = await edge.get("/metrics")
    return {
        (sample.name.removeprefix("fenchel_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def test_messages_of_a_socket_count_both_ways() -> None:
    async with open_edge(backend=FakeBackend()) as edge:
        before = await read(edge)
        async with edge.session.ws_connect(edge.url + "/api/1.48.0/sync") as socket:
            text = json.dumps(SUBSCRIBE, ensure_ascii=False)
            await socket.send_str(text)
            answer = (await socket.receive(timeout=30)).data
            page = await read(edge)

            def moved(*key: str) -> float:
                return page[key] - before.get(key, 0.0)

            assert moved("sync_messages_total", "received") == 1
            assert moved("sync_bytes_total", "received") == len(text.encode())
            assert moved("sync_messages_total", "sent") == 1
            assert moved("sync_bytes_total", "sent") == len(answer.encode())
            assert moved("sync_connects_total", "1.48.0") == 1
            assert page["sync_connections",] == 1
            assert page["sync_queries",] == 1


async def test_a_refused_socket_is_no_connect() -> None:
    async with open_edge(backend=FakeBackend()) as edge:
        before = await read(edge)
        status, _ = await edge.get("/api/other/sync")
        assert status >= 400
        after = await read(edge)
    assert {key for key in after if key[0] == "sync_connects_total"} == {
        key for key in before if key[0] == "sync_connects_total"
    }


def names_in(registry: CollectorRegistry) -> set[str]:
    """As they are on the page."""
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
        if family.name.startswith("fenchel_")
    }


def names_in_code() -> set[str]:
    """Those of functions and tables come from the fields of their totals."""
    metrics = FunctionRunnerMetrics()
    IsolateMetrics(metrics.registry)
    statistics = QueryCacheStatistics(lookups={}, entry_count=0, size_bytes=0)
    metrics.registry.register(QueryCacheCollector(lambda: statistics))
    application = ApplicationMetrics()
    for due in (application.jobs, application.crons):
        due.watch(_NothingDue())
    commits = CommitMetrics(lambda: 0)
    registries = (metrics.registry, application.registry, commits.registry, REGISTRY)
    return set().union(*map(names_in, registries))


class _NothingDue:
    running_count = 0
    due_count = 0
    lag_seconds = 0.0


def names_in_docs() -> set[str]:
    """`fenchel_a_b`, `_c` in one cell are `fenchel_a_b` and the same with another end."""
    names = set()
    for line in DOCS.read_text().splitlines():
        if not line.startswith("| `fenchel_"):
            continue
        first, *others = re.findall(r"`(\w+)`", line.split("|")[1])
        names |= {first, *(name for name in others if name.startswith("fenchel_"))}
        stem = first.rpartition("_")[0]
        names |= {stem + name for name in others if name.startswith("_")}
    return names


def test_every_measure_is_in_the_docs_and_nothing_else() -> None:
    documented = {
        name for name in names_in_docs() if not re.match("fenchel_(function|table|stored)_", name)
    }
    assert documented | {"fenchel_function_realm_runs_total"} == names_in_code()


def test_every_field_of_usage_is_in_the_docs() -> None:
    text = DOCS.read_text()
    missing = [field for field in Usage.__struct_fields__ if f"_{field}_" not in text]
    assert missing == []
