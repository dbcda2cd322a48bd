"""Which snapshots can be read (database specification 9.4)."""

from __future__ import annotations

import pytest

from fenchel.database.snapshot_bounds import SnapshotBounds
from fenchel.documents import Timestamp
from fenchel.errors import FenchelError


def test_bounds_only_grow() -> None:
    bounds = SnapshotBounds(Timestamp(10))
    bounds.advance(Timestamp(20))
    bounds.advance(Timestamp(15))
    assert bounds.min_ts == 20
    bounds.check(Timestamp(20))
    with pytest.raises(FenchelError, match="OutOfRetention"):
        bounds.check(Timestamp(19))


def test_a_held_snapshot_limits_them_until_it_is_released() -> None:
    bounds = SnapshotBounds(Timestamp(10))
    with bounds.hold(Timestamp(12)), bounds.hold(Timestamp(12)), bounds.hold(Timestamp(30)):
        assert bounds.limit(Timestamp(20)) == 12
        bounds.advance(Timestamp(12))
        bounds.check_invariants()
        with pytest.raises(AssertionError):
            bounds.advance(Timestamp(13))
    assert bounds.limit(Timestamp(20)) == 20


def test_what_is_gone_cannot_be_held() -> None:
    bounds = SnapshotBounds(Timestamp(10))
    with pytest.raises(FenchelError, match="OutOfRetention"), bounds.hold(Timestamp(9)):
        pass
