"""Whatever is anticipated, rightly or wrongly: result, log, reads and writes are the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from msgspec.structs import replace

from fenchel.database import Transaction
from fenchel.isolate.anticipation import Anticipation, Turn
from fenchel.isolate.messages import Syscall
from fenchel.udf import FunctionResult, RealmKind, UdfOutcome, UdfRequest, UdfType
from tests.function_runner.harness import App

pytestmark = pytest.mark.asyncio(loop_scope="module")

READS = ["take", "filter", "badFilter", "iterate", "get", "both", "race"]
READS += ["normalize", "who", "log", "throw"]
WRITES = ["insert", "insert", "normalizeDraft", "patch", "patch", "delete"]
WRITES += ["take", "get", "filter", "log", "throw"]
SEEDS = range(60)


class Anticipate(Anticipation):
    """Expects these turns of every run; remembers what a run that expected nothing did."""

    def __init__(self, turns: Sequence[Turn] = ()) -> None:
        super().__init__()
        self.wants_run = True
        self.expected = list(turns)
        self.made: list[Turn] = []
        self.misses: list[bool] = []

    def predict(self, request: UdfRequest) -> list[Turn]:
        return self.expected

    def learn(self, request: UdfRequest, turns: list[Turn]) -> None:
        self.made = turns

    def record_run(self, *, is_miss: bool) -> None:
        self.misses.append(is_miss)


class Fixed:
    """`Anticipations` of one function."""

    def __init__(self, anticipation: Anticipation) -> None:
        self.anticipation = anticipation

    def find(self, bundle_key: str, request: UdfRequest) -> Anticipation:
        return self.anticipation


def observed(outcome: UdfOutcome, tx: Transaction) -> dict[str, Any]:
    """Everything that a caller can see of a run, but for times of its own, the realm and random
    ids.
    """
    usage = tx.usage
    lines = tuple(replace(line, timestamp_ms=0.0) for line in outcome.log_lines)
    of_the_run = {
        "user_seconds": 0.0,
        "memory_bytes": 0,
        "realm": RealmKind.FRESH,
        "why_fresh": None,
    }
    return {
        "outcome": replace(outcome, log_lines=lines, **of_the_run),
        "reads": {index: list(intervals) for index, intervals in tx.reads.items()},
        "read": (usage.documents_read, usage.bytes_read, usage.intervals_read),
        "written": (usage.documents_written, usage.bytes_written),
        "tables": sorted(table.name for table in tx.metadata.by_name.values()),
    }


async def run(app: App, request: UdfRequest, anticipation: Anticipation) -> dict[str, Any]:
    tx = app.database.begin()
    with patch.object(app.pool, "_anticipations", Fixed(anticipation)):
        outcome = await app.runner.run_udf(request, tx, app.host)
    return observed(outcome, tx)


def without_new_keys(seen: dict[str, Any]) -> dict[str, Any]:
    """New rows have random keys, new tables random indexes: only the number of reads remains."""
    return seen | {"reads": sorted(len(intervals) for intervals in seen["reads"].values())}


async def some_ids(app: App, count: int) -> list[str]:
    ids = []
    for number in range(count):
        author = random.Random(number).choice("ab")
        outcome = await app.mutation("messages:send", {"author": author, "body": f"body {number}"})
        assert isinstance(outcome.result, FunctionResult)
        ids.append(msgspec.json.decode(outcome.result.value_json))
    return ids


def some_steps(rng: random.Random, kinds: list[str], ids: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "kind": rng.choice(kinds),
            "id": rng.choice(ids),
            "author": rng.choice("ab"),
            "count": float(rng.randint(1, 4)),
        }
        for _ in range(rng.randint(1, 5))
    ]


def some_expectations(rng: random.Random, own: list[Turn], other: list[Turn]) -> list[list[Turn]]:
    """The very calls, fewer, more, those of another run, and a beginning that goes on wrongly."""
    cut = rng.randint(0, len(own))
    return [own, own[:cut], renumbered(own + other), other, renumbered(own[:cut] + other)]


def renumbered(turns: list[Turn]) -> list[Turn]:
    count = 0
    result: list[Turn] = []
    for turn in turns:
        result.append(tuple(call._replace(id=count + i) for i, call in enumerate(turn)))
        count += len(turn)
    return result


@pytest.mark.parametrize(
    ("udf_type", "path", "kinds"),
    [(UdfType.QUERY, "steps:reads", READS), (UdfType.MUTATION, "steps:writes", WRITES)],
)
async def test_every_run_is_as_without_anticipation(
    app: App, udf_type: UdfType, path: str, kinds: list[str]
) -> None:
    ids = await some_ids(app, 6)
    other: list[Turn] = []
    hits = misses = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        request = app.request(udf_type, path, {"steps": some_steps(rng, kinds, ids)})
        plain = Anticipate()
        expected = without_new_keys(await run(app, request, plain))
        assert expected == without_new_keys(await run(app, request, Anticipate())), f"seed {seed}"
        for turns in some_expectations(rng, plain.made, other):
            anticipation = Anticipate(turns)
            actual = without_new_keys(await run(app, request, anticipation))
            assert actual == expected, f"seed {seed}, anticipated {turns}"
            hits += anticipation.misses == [False]
            misses += anticipation.misses == [True]
        other = plain.made
    assert min(hits, misses) > len(SEEDS) / 2, (hits, misses)


async def test_queries_that_are_anticipated_read_the_very_same_intervals(app: App) -> None:
    ids = await some_ids(app, 6)
    rng = random.Random(1)
    for _ in range(20):
        request = app.request(UdfType.QUERY, "steps:reads", {"steps": some_steps(rng, READS, ids)})
        plain = Anticipate()
        expected = await run(app, request, plain)
        assert await run(app, request, Anticipate(plain.made)) == expected
        assert await run(app, request, Anticipate(plain.made * 2)) == expected


async def test_a_synchronous_call_never_meets_writes_that_come_later(app: App) -> None:
    (id,) = await some_ids(app, 1)
    step = {"id": id, "author": "b", "count": 1.0}
    steps = [step | {"kind": "normalizeDraft"}, step | {"kind": "insert"}]
    request = app.request(UdfType.MUTATION, "steps:writes", {"steps": steps})
    insert = b'{"table":"drafts","value":{"author":"n","body":"new"}}'
    anticipation = Anticipate([(Syscall(0, "1.0/insert", insert),)])
    await run(app, request, anticipation)
    assert anticipation.misses == [True]
    assert anticipation.made == []


async def test_a_learned_function_makes_no_round_trip(app: App) -> None:
    anticipation = Anticipation()
    for author in ["a", "bb", '"c" \\ é', "\n"]:
        args = {"author": author, "body": f"of {author}"}
        request = app.request(UdfType.MUTATION, "messages:send", args)
        await run(app, request, anticipation)
    assert (anticipation._run_count, anticipation._miss_count) == (3, 0)
    assert len(anticipation.turns) == 1
