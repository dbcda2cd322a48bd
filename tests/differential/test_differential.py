"""The same random calls on Fenchel, through official npm clients, and on npm `convex-test`.

app/draw.mjs draws the calls from a seed, app/convex/interpret.ts runs them on either side, and
app/differential.mjs compares what they give and what a subscription shows at the end. A difference
is printed with its seed; docs/compatibility.md lists where convex-test itself deviates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer, free_port

APP = Path(__file__).parent / "app"
CALLS_PER_SEED = 40
KINDS = {"write", "read", "pages", "filter", "act", "schedule", "typed", "returned", "echo"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexApp]:
    """The app of this folder, deployed to a server of its own."""
    folder = tmp_path_factory.mktemp("differential")
    server = FenchelServer(data_folder=folder / "data", port=free_port(), site_port=free_port())
    server.start()
    try:
        deployed = ConvexApp.copy(APP, folder / "app", server=server)
        deployed.deploy()
        yield deployed
        assert server.stop() == 0
    finally:
        if server.process is not None:
            server.kill()


def compare(app: ConvexApp, first_seed: int, seed_count: int) -> set[str]:
    """The kinds of calls that were made; fails the test with what differs."""
    counts = (str(count) for count in (first_seed, seed_count, CALLS_PER_SEED))
    done = app.node(app.folder / "differential.mjs", app.url, *counts)
    assert done.returncode == 0, done.stderr
    *differences, summary = done.stdout.splitlines()
    assert not differences, "\n".join(differences)
    return set(json.loads(summary)["kinds"])


def test_fenchel_answers_as_convex_test_does(app: ConvexApp) -> None:
    assert compare(app, first_seed=0, seed_count=5) == KINDS


@pytest.mark.slow
@pytest.mark.parametrize("first_seed", range(1000, 1400, 20))
def test_fenchel_answers_as_convex_test_does_with_many_seeds(
    app: ConvexApp, first_seed: int
) -> None:
    assert compare(app, first_seed, seed_count=20) <= KINDS
