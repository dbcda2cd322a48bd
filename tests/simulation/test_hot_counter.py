"""One counter, many clients: every mutation gets through (decision 0011, execution 4.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fenchel.runtime import Settings
from fenchel.runtime.settings import ApplicationSettings
from fenchel.testing import run_virtual
from tests.simulation.hot_counter import HotCounterReport, run_hot_counter

ATTEMPTS_MAX = 5


@pytest.mark.parametrize("seed", range(2))
def test_sixty_four_clients_increment_once_each(seed: int) -> None:
    report = run_virtual(run_hot_counter(client_count=64, increments_per_client=1, seed=seed))
    check_all_through(report, count=64)


def test_sixty_four_clients_that_never_rest() -> None:
    report = run_virtual(run_hot_counter(client_count=64, increments_per_client=3))
    check_all_through(report, count=192)
    # Their turn comes within the time that 64 executions and writes take, and the backoff.
    assert max(report.latencies) < 64 * 0.0125 * 1.3 + 0.1 + 0.2 + 0.4


def test_slow_functions_and_a_slow_disk_change_nothing() -> None:
    report = run_virtual(
        run_hot_counter(
            client_count=24, increments_per_client=2, execution_seconds=0.2, write_seconds=0.2
        )
    )
    check_all_through(report, count=48)


def test_without_turns_the_retries_of_some_are_used_up() -> None:
    """What the turns are for, and that exhaustion is as specified: no half effects."""
    application = replace(ApplicationSettings(), occ_retries_unreserved=4)
    report = run_virtual(
        run_hot_counter(
            client_count=64,
            increments_per_client=2,
            settings=Settings(application=application),
        )
    )
    assert report.exhausted > 0
    assert report.value == float(len(report.latencies))
    assert len(report.latencies) + report.exhausted == 128


def check_all_through(report: HotCounterReport, *, count: int) -> None:
    assert report.exhausted == 0
    assert len(report.latencies) == count
    assert report.value == float(count)
    assert report.runs <= count * (ATTEMPTS_MAX - 1)
