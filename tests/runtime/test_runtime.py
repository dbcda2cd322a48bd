"""The bundle of surroundings and its settings."""

import dataclasses

import pytest

from fenchel.runtime import FaultPoints, Runtime, Settings, SystemClock, SystemRandomness


def test_the_defaults_are_the_real_surroundings():
    runtime = Runtime()
    assert isinstance(runtime.clock, SystemClock)
    assert isinstance(runtime.randomness, SystemRandomness)
    assert runtime.settings == Settings()


def test_two_runtimes_share_no_fault_points():
    assert Runtime().faults is not Runtime().faults
    assert isinstance(Runtime().faults, FaultPoints)


def test_one_part_can_be_replaced():
    settings = Settings(
        transaction=dataclasses.replace(Settings().transaction, documents_read_max=1)
    )
    runtime = Runtime(settings=settings)
    assert runtime.settings.transaction.documents_read_max == 1
    assert runtime.settings.sync == Settings().sync


def test_settings_do_not_change_once_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().sync.ping_seconds = 1


def test_every_limit_is_positive_and_bounds_are_in_order():
    settings = Settings()
    limits = [limit for group in dataclasses.astuple(settings) for limit in group]
    assert all(limit >= 0 for limit in limits if isinstance(limit, int | float))
    assert settings.database.commit_log_seconds_min < settings.database.commit_log_seconds_max
    assert settings.database.query_prefetch_rows <= settings.database.query_prefetch_rows_max
    assert settings.application.occ_backoff_seconds_initial <= (
        settings.application.occ_backoff_seconds_max
    )
