"""The bundle of surroundings that every room receives from the composition root."""

from __future__ import annotations

from dataclasses import dataclass, field

from fenchel.runtime.clock import Clock, SystemClock
from fenchel.runtime.faults import FaultPoints
from fenchel.runtime.randomness import Randomness, SystemRandomness
from fenchel.runtime.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Clock, randomness, fault points and settings; one per process, or simulated process."""

    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)
    faults: FaultPoints = field(default_factory=FaultPoints)
    settings: Settings = field(default_factory=Settings)
