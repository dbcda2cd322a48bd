"""The database among clients, crashes and broken disks, on virtual time.

Replay one seed of all models: `FENCHEL_SIMULATION_SEED=17 pytest tests/simulation`.
Run more: `FENCHEL_SIMULATION_COUNT=5000 pytest -m slow tests/simulation/test_simulation.py`.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest

from fenchel.runtime import Settings
from fenchel.runtime.settings import DatabaseSettings
from fenchel.testing import FaultPlan, run_virtual
from fenchel.testing.list_append import Status
from tests.simulation.models import MODELS
from tests.simulation.simulation import Load, Report, Simulation

_SEED_TEXT = os.environ.get("FENCHEL_SIMULATION_SEED")
SEEDS = [int(_SEED_TEXT)] if _SEED_TEXT else list(range(3))
# Seeds that once failed, by model; each ran into a bug that is gone.
REGRESSIONS = [("phantom_counter", 0)]
SLOW_SEED_COUNT = int(os.environ.get("FENCHEL_SIMULATION_COUNT", "300"))
# Retention that is always close behind.
RETAINING = Settings(
    database=replace(
        DatabaseSettings(),
        snapshot_retention_seconds=0.1,
        document_retention_seconds=0.3,
        retention_pause_seconds=0.05,
        retention_rows_per_step=5,
    )
)


def simulate(
    name: str,
    seed: int,
    *,
    plan: FaultPlan | None = None,
    load: Load | None = None,
    settings: Settings | None = None,
) -> Report:
    """Run the model with the seed; a failure says how to run it again."""
    simulation = Simulation(seed, MODELS[name](), plan=plan, load=load or Load(), settings=settings)
    try:
        return run_virtual(simulation.run())
    except BaseException as error:
        error.add_note(f"model {name}; replay with FENCHEL_SIMULATION_SEED={seed}")
        raise


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", SEEDS)
def test_invariants_hold_whatever_fails(name: str, seed: int) -> None:
    simulate(name, seed)


@pytest.mark.parametrize("name", MODELS)
def test_without_faults_everything_is_answered(name: str) -> None:
    report = simulate(name, SEEDS[0], plan=FaultPlan(), load=Load(impatience=0.0))
    statuses = {attempt.status for attempt in report.attempts}
    assert Status.UNKNOWN not in statuses
    assert Status.COMMITTED in statuses
    assert report.start_count == 1


@pytest.mark.parametrize(("name", "seed"), REGRESSIONS)
def test_seeds_that_failed_before(name: str, seed: int) -> None:
    simulate(name, seed)


@pytest.mark.parametrize(
    "fault",
    [
        *("crash_before_persist", "crash_in_write", "crash_before_publish"),
        *("failed_write", "disk_full", "slow_write", "failed_read"),
        *("crash_in_retention", "lease_lost"),
    ],
)
def test_each_fault_strikes_and_harms_nothing(fault: str) -> None:
    plan = FaultPlan(**{fault: 0.25})
    report = simulate("list_append", SEEDS[0], plan=plan, settings=RETAINING)
    assert report.fault_counts[fault] > 0
    # A full disk surely keeps nothing, so the database goes on.
    assert (report.start_count > 1) == (fault not in ("slow_write", "failed_read", "disk_full"))


@pytest.mark.parametrize("seed", SEEDS)
def test_old_versions_go_under_readers_of_old_snapshots(seed: int) -> None:
    for plan in (FaultPlan(), FaultPlan.drawn(random.Random(seed))):
        report = simulate("list_append", seed, plan=plan, settings=RETAINING)
        assert report.expired_count > 0


def test_a_seed_gives_the_same_run_again() -> None:
    first, second = (simulate("queue_pop", 1) for _ in range(2))
    assert first.digest == second.digest
    assert first.fault_counts == second.fault_counts


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", MODELS)
def test_many_seeds(name: str) -> None:
    load = Load(client_count=12, steps_per_client=25)
    for seed in range(1_000, 1_000 + SLOW_SEED_COUNT):
        simulate(name, seed, load=load)
