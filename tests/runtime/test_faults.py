"""Fault points."""

import pytest

from fenchel.runtime import FaultPoints


async def test_nothing_happens_where_nothing_is_armed():
    await FaultPoints().reach("committer.before_persist")


async def test_an_armed_handler_runs_at_its_place_only():
    faults, reached = FaultPoints(), []

    async def handler():
        reached.append("here")

    faults.arm("a", handler)
    await faults.reach("b")
    assert not reached
    await faults.reach("a")
    await faults.reach("a")
    assert reached == ["here", "here"]


async def test_what_a_handler_raises_happens_there_until_it_is_disarmed():
    faults = FaultPoints()

    async def handler():
        raise OSError("disk gone")

    faults.arm("a", handler)
    with pytest.raises(OSError, match="disk gone"):
        await faults.reach("a")
    faults.disarm("a")
    faults.disarm("never armed")
    await faults.reach("a")
