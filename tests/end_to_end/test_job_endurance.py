"""Scheduled jobs while the server is killed again and again (execution 6.1)."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from convex import ConvexClient

from tests.end_to_end.fenchel_server import HERE

if TYPE_CHECKING:
    from tests.end_to_end.conftest import StartServer
    from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer

JOBS = 10_000
JOBS_PER_CALL = 50
PLANNED_PER_SECOND = 200
KILLS = 100
# How long a server lives: long enough for some jobs, too short for all of them.
LIFE_SECONDS = (0.05, 0.6)
FINISH_SECONDS_MAX = 900.0
SEED = 20_261_121


def read_pages(server: FenchelServer, path: str, **args: str) -> list[Any]:
    client = ConvexClient(server.url)
    rows: list[Any] = []
    cursor = None
    while True:
        page = client.query(path, args | {"after": cursor})
        rows += page["page"]
        if page["isDone"]:
            return rows
        cursor = page["continueCursor"]


def count_marks(server: FenchelServer, topic: str) -> Counter[int]:
    """How often each job has written a mark with this topic."""
    return Counter(int(note["body"]) for note in read_pages(server, "jobs:marks", topic=topic))


def wait_until_finished(server: FenchelServer) -> dict[int, str]:
    """Numbers and errors of the jobs that did not succeed, once none is left to run."""
    deadline = time.monotonic() + FINISH_SECONDS_MAX
    while time.monotonic() < deadline:
        rows = read_pages(server, "jobs:unsuccessful")
        if all(kind == "failed" for _, kind, _ in rows):
            return {int(number): error for number, _, error in rows}
    raise AssertionError(f"jobs are left after {FINISH_SECONDS_MAX} s")


@pytest.fixture
def jobs_server(start_server: StartServer, app: ConvexApp) -> FenchelServer:
    """A server of its own with the test app and `jobs.ts`."""
    server = start_server()
    moved = app.moved_to(server)
    module = moved.folder / "convex" / "jobs.ts"
    module.write_text((HERE / "clients" / "jobs_module.ts").read_text())
    try:
        moved.deploy()
    finally:
        module.unlink()
    return server


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_each_mutation_runs_exactly_once_and_each_action_at_most_once(
    jobs_server: FenchelServer,
) -> None:
    client = ConvexClient(jobs_server.url)
    # All due when the killing begins, or before on a slow machine.
    due = time.monotonic() + JOBS / PLANNED_PER_SECOND
    for first in range(0, JOBS, JOBS_PER_CALL):
        delay_ms = max(0.0, due - time.monotonic()) * 1_000
        client.mutation("jobs:plan", {"first": first, "count": JOBS_PER_CALL, "delayMs": delay_ms})
    draw = random.Random(SEED)
    for _ in range(KILLS):
        assert jobs_server.process is not None
        with pytest.raises(subprocess.TimeoutExpired):
            jobs_server.process.wait(draw.uniform(*LIFE_SECONDS))
        jobs_server.kill()
        jobs_server.start()
    failed = wait_until_finished(jobs_server)
    begun, marks = count_marks(jobs_server, "begun"), count_marks(jobs_server, "jobs")
    assert set(marks.values()) == {1}
    assert [number for number in range(JOBS) if number % 10 != 9 and number not in marks] == []
    assert all(number % 10 == 9 for number in failed)
    # An action that is told to have succeeded has run.
    assert marks.keys() | failed.keys() == set(range(JOBS))
    # Kills came between the two marks of actions: those were not begun again, and are told failed.
    interrupted = begun.keys() - marks.keys()
    assert interrupted
    assert set(begun.values()) == {1}
    assert interrupted <= failed.keys()
    assert set(failed.values()) == {"Transient error while executing action"}
    print(f"interrupted actions: {len(interrupted)}, failed: {len(failed)}")
    jobs_server.stop()
